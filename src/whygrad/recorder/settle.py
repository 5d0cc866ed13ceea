"""Keeping what was recorded when nobody watches any more: the program goes on, and may overwrite it."""

from __future__ import annotations

import torch

from whygrad.capture.raw import tensors_of
from whygrad.capture.tape import Before
from whygrad.recorder.session import Session

Tensor = torch.Tensor


def settle(session: Session) -> bool:
    """Copy every storage that a kept step refers to. False, and nothing done, where that is far more than the steps need
    (a batch that is a view of a large data set): then they should be made inert, which copies only what they show."""
    tensors: dict[int, Tensor] = {}
    for step in session.closed:
        if step.keep:
            for event in step.events:
                for tensor in tensors_of(event):
                    tensors.setdefault(tensor.untyped_storage()._cdata, tensor)
            for seen in step.seen:
                tensors.setdefault(seen.tensor.untyped_storage()._cdata, seen.tensor)
    if sum(tensor.untyped_storage().nbytes() for tensor in tensors.values()) > 2 * session.keep.budget:
        return False
    for key, tensor in tensors.items():
        storage = tensor.untyped_storage()
        # A tensor of zeros that autograd made up (`_efficientzerotensor`) has a size and no memory.
        if storage.nbytes() and not tensor._is_zerotensor() and tensor.device.type != "meta":
            flat = torch.empty(0, dtype=torch.uint8, device=tensor.device)
            flat.set_(storage, 0, (storage.nbytes(),), (1,))  # pyright: ignore[reportCallIssue, reportArgumentType]
            session.writes.add(key, Before(session.index, None, flat.clone()))
    return True
