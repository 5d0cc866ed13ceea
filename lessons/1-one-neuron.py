# %% [markdown]
# # Lesson 1: one neuron
#
# One neuron, twenty steps of training, and no number that cannot be asked why it is what it is.
#
# You need a little Python. You need no knowledge of neural networks. Run the cells from top to bottom; it takes about
# a quarter of an hour.

# %%
import torch
from torch import nn

import whygrad

torch.manual_seed(0)  # the same "random" start for everyone
torch.set_num_threads(1)  # and the same order of additions

# %% [markdown]
# ## A neuron
#
# A neuron with one input is a straight line:
#
# `prediction = weight · x + bias`
#
# The *weight* says how strongly the input counts. The *bias* is what the neuron answers when the input is 0. These two
# are the neuron's *parameters*: the numbers that training changes.
#
# PyTorch calls such a neuron `nn.Linear(1, 1)`: one number in, one number out. We put it into a *module*, as every
# larger network is put together, and call it `linear`. The method `forward` says what the module computes.
#
# PyTorch keeps numbers in *tensors*: tables of numbers that all have the same format, the `dtype`. `half()` makes that
# format *float16*, numbers of sixteen bits. Large networks are trained in such small formats because they are fast. We
# take one because it lets us see things that a larger format hides.


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
# The parameters start as random numbers, and `torch.manual_seed(0)` makes them the same for everyone. The weight has
# the shape `(1, 1)`: one output, one input. Its only element is `linear.weight[0,0]`.
#
# `item()` gives a number with all its digits. Few of them say something: −0.00749 is enough to name this float16
# number, because every other one is farther away from −0.00749. From here on we write the shortest decimal that names
# the number, as whygrad does. So the weight starts at −0.00749 and the bias at 0.5366.
#
# What PyTorch prints for a tensor is a third thing: it is rounded to four digits after the point.

# %%
print(model.linear.weight)

# %% [markdown]
# ## Forward: a prediction
#
# The neuron shall learn one thing: to answer 1 when the input is 1. The answer that we want is called the *target*.
#
# To compute the prediction is called the *forward pass*.

# %%
x = torch.tensor([1.0]).half()
target = torch.tensor([1.0]).half()

prediction = model(x)
print("prediction:", prediction.item())
print("target:    ", target.item())

# %% [markdown]
# Now do the sum yourself, in ordinary arithmetic: the weight times 1, plus the bias.

# %%
exact = model.linear.weight.item() * 1.0 + model.linear.bias.item()  # Python's own numbers have room for it
print("exact sum:           ", exact)
print("prediction:          ", prediction.item())
print("the one just below it:", prediction.item() - 2**-11)

# %% [markdown]
# The two are not the same. The exact sum is 0.52913…, and float16 has no such number: between one half and 1 its
# numbers are 2⁻¹¹ apart. So PyTorch takes the nearest one that there is, which is 0.5293. This is called *rounding*,
# and a computer does it after almost every operation.

# %% [markdown]
# ## grad_fn: how a number was made
#
# The prediction is more than a number. It remembers how it was made, in `grad_fn`, the *gradient function*: what
# PyTorch will call to go back through this operation. Each gradient function knows the ones before it.


# %%
def chain(node, depth=0):
    if node is not None:
        print("    " * depth + node.name().rpartition("::")[2])
        for before, _ in node.next_functions:
            chain(before, depth + 1)


chain(prediction.grad_fn)

# %% [markdown]
# Read it from the bottom. `AccumulateGrad` stands at a parameter: it is where a gradient arrives. It stands here twice,
# once for the bias and once for the weight. `TBackward0` belongs to a transpose, rows turned into columns, which
# `nn.Linear` does with its weight. `AddmmBackward0` belongs to *addmm*, add and matrix-multiply: `bias + x · weight`.
# `ViewBackward0` belongs to a *view*, which gives the result another shape and computes nothing.
#
# The `0` at the end of a name is often misread. whygrad knows what it says:

# %%
import textwrap

from whygrad.view.grad_fn import explain_grad_fn

print(textwrap.fill(explain_grad_fn("AddmmBackward0").number, 96))

# %% [markdown]
# So the `0` does not become `1` when you call the model again. Try it.

# %%
print(model(x).grad_fn.name(), model(x).grad_fn.name())

# %% [markdown]
# ## The loss: how wrong is it?
#
# The *loss* is one number that says how wrong the prediction is. We take the *mean squared error*: the difference
# between prediction and target, times itself, and the mean of that over all predictions. Here there is only one.
#
# `loss = (prediction − target)²`
#
# It is 0 when the prediction is right, and never negative.

# %%
loss_function = nn.MSELoss()
loss = loss_function(prediction, target)
print("loss:", loss.item())
print("made by:", loss.grad_fn.name())

# %% [markdown]
# The difference is `0.5293 - 1 = -0.4707`: the prediction is too small. Its square is `(-0.4707)^2 = 0.2216`, the loss.
#
# ## The gradient: which way is better?
#
# A *gradient* answers one question: if this number were made a little larger, how would the loss change? A gradient of
# −2 says: by two times as much, and downwards. So a negative gradient says that a larger number is better.
#
# Begin with the prediction. The loss is a square, and the slope of a square is two times what is squared:
#
# `∂loss/∂prediction = 2 · (prediction − target)`
#
# Read `∂loss/∂prediction` as "how the loss changes with the prediction". Here it is `2 * (0.5293 - 1) = -0.9414`.
#
# Then go on to the parameters. If the weight grows by a little, the prediction grows by x times as much; x is 1. If the
# bias grows by a little, the prediction grows by just as much. Effects that follow each other are multiplied. That is
# the *chain rule*:
#
# `∂loss/∂weight = ∂loss/∂prediction · x`
#
# `∂loss/∂bias = ∂loss/∂prediction · 1`
#
# `loss.backward()` does all this: it goes back along the chain that you saw above, from the loss to the parameters.
# This is the *backward pass*, or *backpropagation*. It leaves each parameter's gradient in `.grad`.

# %%
loss.backward()
for name, parameter in model.named_parameters():
    print(name, "gradient:", parameter.grad.item())

# %% [markdown]
# Both are −0.9414. The weight and the bias should grow.
#
# ## The update: one step of training
#
# An *optimizer* changes the parameters. The simplest one, *stochastic gradient descent* (SGD), takes each parameter a
# little way against its gradient:
#
# `new weight = weight − lr · gradient`
#
# The *learning rate* `lr` says how far. We take 0.1.


# %%
def show(when, net):
    print(when, {name: parameter.item() for name, parameter in net.named_parameters()})


show("before:", model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
optimizer.step()
show("after: ", model)

# %% [markdown]
# The step is `-0.1 * (-0.9414) = 0.0941`, for both. The weight moves from −0.00749 to 0.0866, the bias from 0.5366 to 0.631.
#
# That is all there is to training: predict, measure the loss, go back, take a step; and again.
#
# ## Twenty steps, recorded
#
# Now we put this neuron away, start anew, and let whygrad watch. `whygrad.record()` writes down every operation that
# PyTorch runs inside the block, and changes none of them. The loop inside is an ordinary one. `zero_grad()` clears the
# old gradients; without it, `backward()` would add the new ones to them.

# %%
del model


def train(dtype, steps):
    torch.manual_seed(0)
    model = Net().to(dtype)
    x = torch.tensor([1.0], dtype=dtype)
    target = torch.tensor([1.0], dtype=dtype)
    loss_function = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        prediction = model(x)
        loss = loss_function(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


with whygrad.record() as run:
    train(torch.float16, 20)

run

# %% [markdown]
# A row is one step, counted from 0. The parameters stand in it as they are *after* the step's update. `run.table()`
# gives the same table as a pandas DataFrame.
#
# Read down the columns. The prediction rises from 0.5293 to 1.0. The loss falls to 0. The gradients shrink with the
# error, so the steps get smaller and smaller by themselves, though the learning rate stays 0.1.
#
# ## Why is the weight what it is?
#
# Ask. A number's *address* is its name, its place in the tensor, and `@` with the step: `linear.weight[0,0]@0` is the
# weight after the update of step 0.

# %%
run.why("linear.weight[0,0]@0", depth=3)

# %% [markdown]
# Read it from the top. The first line is the number. Below it stands the equation that made it: first with names, then
# with the numbers that stood there. The line with ✓ says that the equation was computed again, just now, and gave the
# same bits that PyTorch got. It also says how far the result was rounded, in *ulp*: one ulp is the distance from one
# float16 number to the next.
#
# Then come the numbers that went into it, each with its own equation: the old weight, the gradient, the learning rate.
# The gradient goes back to the prediction and the target. You can follow every number to the start, and what was given
# rather than computed says so.
#
# The loss, and the prediction below it, can be asked in the same way:

# %%
run.why("loss@0", depth=2)

# %% [markdown]
# ## Say it yourself
#
# You can also turn it round: *you* give the formula, and whygrad says whether it is right. `run.check` computes your
# formula with the recorded numbers and compares.

# %%
run.check("weight - lr * weight.grad", "linear.weight[0,0]@0")

# %% [markdown]
# In a formula, `weight` without a step is the weight that the step began with. When a formula is wrong, the answer
# names what is wrong about it. You will see that in the exercises.
#
# ## The end state
#
# Look at the last rows of the table again. From step 17 on the loss is 0. The prediction is 1.0, the very number of the
# target. So every gradient is 0, and nothing moves any more.
#
# But look at the bias: it stops earlier. In steps 12 to 16 it stays at 0.7715 although its gradient is not 0. Let us
# ask for the bias after step 12.

# %%
run.why("linear.bias[0]@12", depth=1)

# %% [markdown]
# The equation is the usual one. The step is `-0.1 * (-0.001953) = 0.000195`, and the sum should be a little larger than
# 0.7715. But between one half and 1 float16 numbers are 2⁻¹¹ ≈ 0.000488 apart. The step is less than half of that. So
# the nearest float16 number is the one where the bias already was, and rounding takes it back there.
#
# Nothing is broken, no error is raised, and the bias does not learn. This is called a *lost update*. `run.updates`
# shows a parameter's whole way, and what was lost on it:

# %%
run.updates("linear.bias[0]@19")

# %% [markdown]
# And the weight? Its gradient is just as small, and still it moves, because the weight is a smaller number.
# Floating-point numbers lie closer together the nearer they are to 0. Around 0.228 they are only 2⁻¹³ ≈ 0.000122 apart.

# %%
from whygrad.floats import number_format, ulp

float16 = number_format("float16")
for name in ("bias", "weight"):
    value = run.table()[name].iloc[-1]
    print(f"{name} {value}: the next float16 number is {float(ulp(value, float16))} away")

# %% [markdown]
# One more thing about the end. The neuron has learned its task, with the weight 0.2283 and the bias 0.7715. Why these
# two? Because of where they started. Any two numbers with the sum 1 would do. Both got the same gradient in every step,
# so both went up by almost the same amount, until their sum, rounded to float16, was 1.
#
# ## The same in other formats
#
# *bfloat16* has sixteen bits too, but only eight significant ones where float16 has eleven, so its numbers are
# farther apart. *float32* has thirty-two bits, twenty-four of them significant; PyTorch uses it unless told otherwise.
#
# Is the neuron done sooner or later when its numbers are finer?

# %%
import pandas

from whygrad.view.lesson import format_row

rows = []
for dtype in (torch.bfloat16, torch.float16, torch.float32):
    with whygrad.record(steps="none") as other:  # only the table is kept
        train(dtype, 100)
    first = other.table().iloc[0]
    end = format_row(str(dtype).removeprefix("torch."), other.trace.history)
    rows.append((end.format, first["prediction"], end.steps, end.lost))
pandas.DataFrame(rows, columns=["format", "prediction@0", "loss is 0 from step", "lost updates"])

# %% [markdown]
# The coarsest format is done first: bfloat16 in step 12, float16 in step 17, float32 in step 34. That is no merit.
# Fewer numbers lie between the prediction and the target, so a coarse format is sooner at a number that it cannot tell
# from the right one.
#
# float32 loses updates too, only later. No format is free of rounding.
#
# Note the first prediction: it is another number in each format. Whoever writes about a run has to say in which format
# it ran.
#
# ## Exercises
#
# Each cell below holds a formula that is not right yet. Run it and read what the answer says. Then correct the formula
# until the answer is *same bits*. You may use the names `prediction`, `target`, `x`, `weight`, `bias` and `lr`, and
# `weight.grad` for a gradient.
#
# **1.** The loss of step 0.

# %%
run.check("prediction - target", "loss@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `(prediction - target)^2`
#
# </details>
#
# **2.** The gradient of the loss with respect to the prediction, in step 3.

# %%
run.check("prediction - target", "prediction[0].grad@3")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2 * (prediction - target)`
#
# </details>
#
# **3.** The bias after the update of step 1.

# %%
run.check("bias + lr * bias.grad", "linear.bias[0]@1")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `bias - lr * bias.grad`
#
# A gradient points to where the loss grows; we want to go the other way.
#
# </details>
#
# **4.** The same without `bias.grad`: write the gradient of the bias with `prediction` and `target`.

# %%
run.check("bias - lr * (prediction - target)", "linear.bias[0]@1")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `bias - lr * 2 * (prediction - target)`
#
# </details>
#
# **5.** A number will do as well. What is the bias after step 12? (Above 0.7715 the next float16 number is 0.772.)

# %%
run.check("0.772", "linear.bias[0]@12")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `0.7715`
#
# The update was lost: the bias is what it was before.
#
# </details>
#
# ## What you can do now
#
# - You can say what a weight, a bias, a loss, a gradient, a learning rate and an optimizer are.
# - You can follow one number of a training run back to where it came from, and compute it yourself.
# - You can tell why a parameter stands still although its gradient is not 0.
#
# **Live:** `whygrad play lesson-1` opens this neuron in the browser. Turn the learning rate up and watch what happens.
#
# **Your own program:** `whygrad run train.py`, then `whygrad why train.why "loss@3"`.
#
# **Next:** [Lesson 2: a batch](2-a-batch.ipynb). So far there was one example. What happens to a gradient when there
# are several, and they do not agree?
