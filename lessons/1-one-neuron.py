# %% [markdown]
# # Understand the basics of neural networks
#
# One neuron, twenty steps of training, and no number that cannot be asked why it is what it is.
#
# You need a little Python. You need no knowledge of neural networks. Run the cells from top to bottom; each
# one that prints a number computed it just now, on your machine. The text between the cells holds no results:
# where a sentence depends on a number, a cell prints the sentence.

# %%
import textwrap

import torch
from torch import nn

import whygrad

torch.manual_seed(0)  # the same "random" start for everyone
torch.set_num_threads(1)  # and the same order of additions


def say(text):
    print(textwrap.fill(text, 96))


# %% [markdown]
# ## A neuron
#
# A neuron with one input is a straight line: `prediction = weight · x + bias`. PyTorch calls it `nn.Linear(1,
# 1)`: one number in, one number out. The weight and the bias are its *parameters*, the numbers that training
# changes. We put it into a module, as every larger network is put together, and call it `linear`.
#
# `half()` stores all numbers in *float16*, a format of sixteen bits. Large networks are trained in such small
# formats, because they are fast; and a small format lets us see things that a large one hides.


# %%
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


model = Net().half()
for name, parameter in model.named_parameters():
    print(name, tuple(parameter.shape), parameter.dtype, parameter.item())

# %% [markdown]
# The parameters start as random numbers. What `item()` prints is the number itself, all of it. What PyTorch
# prints for a tensor is not: it shows four digits after the point.

# %%
print(model.linear.weight)

# %% [markdown]
# ## Forward: a prediction
#
# We want the neuron to learn one thing: for the input 1 it should answer 1.

# %%
x = torch.tensor([1.0]).half()
target = torch.tensor([1.0]).half()

prediction = model(x)
print("prediction:", prediction.item())
print("target:    ", target.item())

# %% [markdown]
# The prediction is more than a number. It remembers how it was made, in `grad_fn`, the *gradient function*:
# what PyTorch will call to go back through this operation. Each gradient function knows the ones before it.


# %%
def chain(node, depth=0):
    if node is not None:
        print("    " * depth + node.name().rpartition("::")[2])
        for before, _ in node.next_functions:
            chain(before, depth + 1)


print(prediction.grad_fn.name())
print()
chain(prediction.grad_fn)

# %% [markdown]
# These names look odd, and they can be read. whygrad knows what they say:

# %%
from whygrad.view.grad_fn import explain_grad_fn

for name in (prediction.grad_fn.name(), "AddmmBackward0", "AccumulateGrad"):
    view = explain_grad_fn(name)
    say(view.meaning)
    print()
say(explain_grad_fn("AddmmBackward0").number)

# %% [markdown]
# So the `0` at the end counts nothing: it does not become `1` when you call the model again. Try it.

# %%
print(model(x).grad_fn.name(), model(x).grad_fn.name())

# %% [markdown]
# ## How wrong is it? The loss
#
# The *loss* is one number that says how wrong the prediction is. We take the *mean squared error*: the
# difference between prediction and target, times itself, and the mean of that over all predictions (here
# there is one). It is 0 when the prediction is right, and never negative.

# %%
loss_function = nn.MSELoss()
loss = loss_function(prediction, target)
print("loss:", loss.item())
print("made by:", loss.grad_fn.name())

# %% [markdown]
# ## Backward: which way is better?
#
# `loss.backward()` goes back along that chain, from the loss to the parameters, and computes for each
# parameter the *gradient*: how the loss changes when the parameter is made a little larger. A negative
# gradient says that a larger parameter makes the loss smaller.

# %%
loss.backward()
for name, parameter in model.named_parameters():
    print(name, "gradient:", parameter.grad.item())

# %% [markdown]
# ## One step of training
#
# An *optimizer* changes the parameters. The simplest one, *stochastic gradient descent* (SGD), takes each
# parameter a little way against its gradient: `new weight = weight − lr · gradient`. The *learning rate* `lr`
# says how far.


# %%
def show(when, net):
    print(when, {name: parameter.item() for name, parameter in net.named_parameters()})


show("before:", model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
optimizer.step()
show("after: ", model)

# %% [markdown]
# That is all there is to training: predict, measure the loss, go back, take a step; and again.
#
# ## Twenty steps, recorded
#
# Now we put this neuron away, start anew, and let whygrad watch. `record()` writes down every operation that
# PyTorch runs inside the block, and changes none of them. The loop inside is an ordinary one.

# %%
del model


def train(dtype, steps):
    torch.manual_seed(0)
    model = Net().to(dtype)
    x = torch.tensor([1.0], dtype=dtype)
    target = torch.tensor([1.0], dtype=dtype)
    loss_function = nn.MSELoss()
    for step in range(steps):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        prediction = model(x)
        loss = loss_function(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


with whygrad.record() as run:
    train(torch.float16, 20)

run

# %% [markdown]
# A row is one step. The parameters stand in it as they are *after* the step's update. Every number is written
# with as many digits as it takes to get the same float16 number back, no more. `run.table()` gives the same
# table as a pandas DataFrame.
#
# ## Why is the weight what it is?
#
# Ask. A number's address is its name, its place in the tensor, and `@` the step: `linear.weight[0,0]@0` is
# the weight after the first update.

# %%
run.why("linear.weight[0,0]@0", depth=3)

# %% [markdown]
# Read it from the top. The first line is the number. Below it stands the equation that made it: first with
# names, then with the numbers that stood there. The line with ✓ says that the equation was computed again,
# just now, and gave the same bits that PyTorch got; and how far the result was rounded, in *ulp*, the
# distance from one float16 number to the next.
#
# Then come the numbers that went into it, each with its own equation: the old weight, the gradient, the
# learning rate. The gradient goes back to the prediction and the target. You can follow every number to the
# start, and what was given rather than computed says so.
#
# The same goes for the gradient of the loss, the loss, and the prediction:

# %%
run.why("loss@0", depth=2)

# %% [markdown]
# ## What happens at the end
#
# Look at the last rows of the table. Something is odd about the bias. whygrad looks for such things in the
# table:

# %%
from whygrad.findings.exact_zero import exact_zero
from whygrad.findings.lost_updates import lost_updates
from whygrad.view.stories import exact_zero_sentence, lost_updates_sentence

history = run.trace.history
lost = lost_updates(history)
for found in lost:
    say(lost_updates_sentence(found, history.short_names()[found.parameter]))

# %% [markdown]
# The numbers of float16 have gaps between them, and the gaps are wider where the numbers are larger. The
# update is so small that the sum lies nearer to the old number than to the next one, and rounding takes it
# back. Nothing is broken, no error is raised, and the parameter does not learn. This is called a *lost
# update*. Here is one:

# %%
stuck = lost[0]
run.why(f"{stuck.address}@{stuck.updates[0].step}", depth=1)

# %% [markdown]
# And the weight, with a gradient just as small, still moves, because the weight is a smaller number and its
# neighbours are nearer:

# %%
from whygrad.floats import number_format, ulp

float16 = number_format("float16")
for name in ("bias", "weight"):
    value = run.table()[name].iloc[-1]
    print(f"{name} {value}: the next float16 number is {float(ulp(value, float16))} away")

# %% [markdown]
# Then the training ends by itself:

# %%
say(exact_zero_sentence(exact_zero(history), "float16", target.item()))

# %% [markdown]
# ## The same in other formats
#
# *bfloat16* has sixteen bits too, but coarser steps; *float32* has thirty-two bits and is what PyTorch uses
# unless told otherwise. Is the neuron done sooner or later when its numbers are finer?

# %%
from whygrad.view.lesson import format_row

for dtype in (torch.bfloat16, torch.float16, torch.float32):
    with whygrad.record(steps="none") as other:  # only the table is kept
        train(dtype, 100)
    row = format_row(str(dtype).removeprefix("torch."), other.trace.history)
    print(f"{row.format:9} steps until the loss is exactly 0: {row.steps:4} lost updates: {row.lost}")

# %% [markdown]
# Where a coarse format is done earlier, that is no merit: fewer numbers lie between the prediction and the
# target, so it is sooner at a number that it cannot tell from the right one.
#
# ## A simple neural network
#
# One neuron draws a straight line. *XOR* (one or the other, but not both) cannot be had from a straight line;
# it takes a second layer, and a bend between the two, here `tanh`.


# %%
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 4)
        self.output = nn.Linear(4, 1)

    def forward(self, x):
        return self.output(torch.tanh(self.hidden(x)))


def train_xor(steps):
    torch.manual_seed(0)
    model = Network().half()
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float16)
    target = torch.tensor([[0.0], [1.0], [1.0], [0.0]], dtype=torch.float16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        prediction = model(x)
        loss = nn.functional.mse_loss(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model(x), target


with whygrad.record(steps="0,-1") as xor:  # of all steps, keep the first and the last whole
    answers, wanted = train_xor(500)

right = (answers > 0.5) == (wanted > 0.5)
say(f"After the training {int(right.sum())} of {len(right)} answers are on the right side of one half.")

# %% [markdown]
# The machinery is the same, only longer. A gradient in the first layer is now a sum over the four examples,
# and what arrives there came back through `tanh` and through the second layer:

# %%
xor.why("hidden.weight[0,0].grad@0", depth=2)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `None` and run the cell. The check computes the right answer from the run.


# %%
def check(answer, right, hint):
    if answer is None:
        print("no answer yet")
    else:
        print("Right." if right(answer) else f"Not yet. {hint}")


table = run.table()

# %% [markdown]
# **1.** `table["prediction"][0]` is the first prediction, and the target is 1. Compute the gradient of the
# loss with respect to the prediction in step 0.

# %%
answer_1 = None

gradient = run.why("prediction[0].grad@0", depth=0).value
hint = "The derivative of (prediction − target)² is 2 · (prediction − target)."
check(answer_1, lambda answer: answer == gradient, hint)

# %% [markdown]
# **2.** Which number, other than the gradient and the learning rate, went into `linear.weight[0,0]@5`? Give
# its address, as text.

# %%
answer_2 = None

operands = {operand.address: operand.role for operand in run.why("linear.weight[0,0]@5", depth=1).operands}
hint = "The update starts from the weight as the step before left it."
check(answer_2, lambda answer: operands.get(answer) == "parameter", hint)

# %% [markdown]
# **3.** Choose a learning rate with which the first lost update of the bias would not have been lost. (The
# check does the update in float16, as PyTorch does.)

# %%
answer_3 = None

first = stuck.updates[0]


def moves(lr):
    bias, gradient = torch.tensor([first.value, first.gradient]).half()
    return torch.add(bias, gradient, alpha=-lr) != bias


check(answer_3, moves, f"lr times the gradient, {first.gradient}, must be more than half a gap, {first.half_ulp}.")

# %% [markdown]
# ## Go on
#
# - Ask other numbers of this run: every column of the table is an address once you add `@` and a step.
# - Record a program of your own: `whygrad run train.py`, then `whygrad why train.why "loss@3"`.
