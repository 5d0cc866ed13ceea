"""What a recording has to say to its user."""

UNSEEN = (
    "{name} was changed before step {step} without a recorded op: a write through numpy, another thread, or memory shared "
    "with another program. The numbers before and after are recorded, the change itself has no explanation."
)

SPARSE_TOO_LARGE = (
    "the gradient of {name} is sparse, and too large to be recorded row by row: its elements have no address, those of its "
    "values have."
)

SKIPPED = (
    "GradScaler found an infinite or NaN gradient in step {step}: the optimizer's step was skipped, the parameters are as they "
    "were, and the scale is lowered."
)

LET_GO = (
    "step {step} needed {needed:,} bytes, the budget is {budget:,}: {count} results were let go, the largest first, and so in "
    "later steps that need as much. They are computed again when they are asked for. A larger --budget keeps them."
)

COMPILED = (
    "torch.compile was asked for, but under recording PyTorch runs the program eagerly: the numbers are those of eager mode "
    "and may differ from compiled runs in the last bits."
)

UNFOLDED = (
    "A loop given to torch as one operator (scan, map) runs as a plain loop under recording. Gradients of what its function "
    "closes over are then added up in another order, and may differ from a run without recording in the last bits."
)

THREAD = (
    "Thread {name!r} computed numbers with gradients, and ops of another thread are not recorded (nn.DataParallel works in "
    "threads too): what came of them counts as given. Train in the thread that opened the recording; of an nn.DataParallel, "
    "call the module itself (`.module`)."
)

GRAPH = (
    "A CUDA graph was replayed: its kernels run without ops, so what they wrote has no explanation. Record the program "
    "without the graph (run the captured function itself)."
)
