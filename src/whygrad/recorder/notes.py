"""What a recording has to say to its user."""

UNSEEN = (
    "{name} was changed before step {step} without a recorded op: a write through numpy, another thread, or memory shared "
    "with another program. The numbers before and after are recorded, the change itself has no explanation."
)

COMPILED = (
    "torch.compile was asked for, but under recording PyTorch runs the program eagerly: the numbers are those of eager mode "
    "and may differ from compiled runs in the last bits."
)
