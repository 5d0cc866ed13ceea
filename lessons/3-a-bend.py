# %% [markdown]
# # Lesson 3: a bend
#
# A neuron of [lesson 1](1-one-neuron.ipynb) draws a straight line. Most things are not straight. This lesson puts a
# bend behind the line, and looks at what the bend does to the gradient. There are two accidents to see: a unit that is
# *saturated*, and a unit that is *dead*.
#
# You need lessons 1 and 2. It takes about a quarter of an hour.

# %%
import pandas
import torch
from torch import nn

import whygrad

torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## Why a bend is needed
#
# Put one line behind another: the second neuron takes the answer of the first as its input. Are two better than one?

# %%
x = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [2.0]])

first, second = nn.Linear(1, 1), nn.Linear(1, 1)
with torch.no_grad():
    y = second(first(x))
print("answers:    ", y.flatten())
print("differences:", y.flatten().diff())
print("product of the weights:", second.weight.item() * first.weight.item())
del first, second

# %% [markdown]
# From each x to the next the answer grows by 0.0062, everywhere. So it is a line again. A line of a line is a line, and
# its weight is the product of the two weights.
#
# However many lines follow each other, there is never more than a line. So something that is not a line has to stand
# between them. It is called an *activation function*, because it says how active a neuron is at a given input.
#
# Here are the three that you will meet most.
#
# - *ReLU*, the rectified linear unit: `max(0, z)`. What is negative becomes 0.
# - *tanh*, the hyperbolic tangent: between −1 and 1, nearly a line around 0.
# - *sigmoid*: `1/(1 + e^(-z))`, between 0 and 1.
#
# We write z for the number that goes in: weight · x + bias. It is called the *pre-activation*.

# %%
z = torch.tensor([-10.0, -5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0, 10.0])
bends = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
pandas.DataFrame({name: bend(z) for name, bend in bends.items()}, index=pandas.Index(z.tolist(), name="z"))

# %% [markdown]
# ## What a bend does to the gradient
#
# Going back, the chain rule multiplies by the slope of each function on the way: by how much its result changes when
# what goes in grows by a little. The slope is called the *derivative*. Let PyTorch compute it at the same places:


# %%
def slope(bend):
    at = z.clone().requires_grad_()
    bend(at).sum().backward()
    return at.grad


pandas.DataFrame({name: slope(bend) for name, bend in bends.items()}, index=pandas.Index(z.tolist(), name="z"))

# %% [markdown]
# The derivatives can be written with the results themselves, which is why they are cheap:
#
# - ReLU: 1 where z is positive, else 0.
# - tanh: `1 − tanh(z)²`. It is 1 at z = 0, and falls on both sides.
# - sigmoid: `sigmoid(z) · (1 − sigmoid(z))`. At best it is 0.25, at z = 0.
#
# The slope of a ReLU at exactly 0 does not exist: there is a corner. PyTorch takes 0.
#
# ## One neuron with a tanh
#
# One neuron, one example: for the input 1 it shall answer −0.5. The weight starts at 2, the bias at 0.


# %%
class Neuron(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        nn.init.constant_(self.linear.weight, weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        return torch.tanh(self.linear(x))


def train_neuron(weight, steps):
    model = Neuron(weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(steps):
        prediction = model(torch.tensor([[1.0]]))
        loss = nn.functional.mse_loss(prediction, torch.tensor([[-0.5]]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


with whygrad.record() as run:
    train_neuron(2.0, 50)

run.why("linear.weight[0,0].grad@0", depth=3)

# %% [markdown]
# There is one factor more than in lesson 1. The gradient of the prediction is large, 2.928. On its way through the tanh
# it is multiplied by `1 - 0.9640276^2 = 0.0706508`, the slope of tanh at z = 2. What arrives is 0.2069.
#
# Note *which* number is squared: the result of the tanh, not what went into it. Here is the table:

# %%
run.table().loc[[0, 1, 2, 3, 4, 5, 6, 10, 14], ["prediction", "loss", "weight", "weight_grad"]]

# %% [markdown]
# Look at the gradients. They grow at first, from 0.2069 to 1.094 in step 3, although the loss falls. The neuron had to
# come out of the flat part of the tanh before it could learn fast.
#
# ## Saturation
#
# Farther out the tanh is flatter. There a neuron is called *saturated*: its answer hardly depends on what goes in. We
# start the same neuron at larger weights.

# %%
rows = []
for weight in (0.5, 2.0, 5.0, 8.0, 10.0):
    with whygrad.record() as start:
        train_neuron(weight, 50)
    table = start.table()
    rows.append((weight, table["prediction"][0], table["weight_grad"][0], table["loss"][0], table["loss"][49]))
pandas.DataFrame(rows, columns=["start", "prediction@0", "gradient@0", "loss@0", "loss@49"])

# %% [markdown]
# From 0.5 and from 2 the neuron learns its task. From 5 on it has learned next to nothing after 50 steps. The gradient
# gets smaller and smaller; this is called a *vanishing gradient*.
#
# The last row is another matter. There the gradient is not small: it is 0. Ask why, in the run that was recorded last.

# %%
start.why("linear.weight[0,0].grad@0", depth=2)

# %% [markdown]
# In mathematics the tanh of 10 is a little less than 1. The float32 number nearest to it is 1.0, so that is the answer.
# Then the slope `1 - 1.0^2 = 0` is exactly 0. The prediction is as wrong as it can be, the gradient of the prediction
# is 3, and nothing of it gets through. This neuron would stand still for ever.
#
# The remedy is not to start there. `nn.Linear` chooses small random weights, smaller the more inputs there are, so that
# its units do not start saturated.
#
# ## Two ReLUs learn a corner
#
# Now a network with a *hidden layer*: two neurons with a ReLU, called *units*, and a third neuron that adds up what
# they say. *Hidden* means that nobody tells these units what to answer. They have to find out.
#
# The task: for x give back x without its sign, |x|. Two ReLUs can do that, since `|x| = relu(x) + relu(-x)`.

# %%
target = x.abs()


class Net(nn.Module):
    def __init__(self, bend):
        super().__init__()
        self.hidden = nn.Linear(1, 2)
        self.bend = bend
        self.output = nn.Linear(2, 1)

    def forward(self, x):
        return self.output(self.bend(self.hidden(x)))


def train(seed, lr, steps, bend):
    torch.manual_seed(seed)
    model = Net(bend)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for step in range(steps):
        prediction = model(x)
        loss = nn.functional.mse_loss(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


with whygrad.record() as good:
    train(2, 0.2, 300, nn.ReLU())


def hidden(run, step):
    """What the two units answer to each x."""
    answers = {
        f"unit {k}": [run.why(f"bend.output[{i},{k}]@{step}", depth=0).value for i in range(5)] for k in range(2)
    }
    answers["prediction"] = [run.why(f"prediction[{i},0]@{step}", depth=0).value for i in range(5)]
    return pandas.DataFrame(answers, index=pandas.Index(x.flatten().tolist(), name="x"))


print("loss:", good.why("loss@299", depth=0).value)
hidden(good, 299)

# %% [markdown]
# It works. Unit 0 answers on the right side only, unit 1 on the left side only. Nobody told them to share the work.
#
# ## A dead unit
#
# That was `torch.manual_seed(2)`. Another seed gives another start. Here is seed 0, all else being equal:

# %%
with whygrad.record() as dead:
    train(0, 0.2, 300, nn.ReLU())

print("loss:", dead.why("loss@299", depth=0).value)
hidden(dead, 299)

# %% [markdown]
# The loss stops at 0.4. Unit 0 says 0, whatever x is. The other one can bend up on one side only, so the left side
# stays flat at 1. Why does unit 0 not help? Its weight has a gradient; ask for it.

# %%
dead.why("hidden.weight[0,0].grad@0", depth=2)

# %% [markdown]
# Each example's part is 0, and the answer says why: *because y ≤ 0*. Behind the ReLU the gradient is not 0; the output
# would like to have something from this unit. But the pre-activation is negative for every example, there the ReLU is
# flat, and the slope is 0.
#
# With a gradient of 0 the weight and the bias do not change. So the pre-activation stays negative, and the gradient
# stays 0. The unit is *dead*: it cannot come back. Look at its parameters, through the whole training:

# %%
dead.table()[["hidden.weight[0,0]", "hidden.bias[0]", "hidden.weight[0,0]_grad"]].agg(["min", "max"])

# %% [markdown]
# Every one of them had the same value all the time.
#
# ## How a unit dies
#
# That unit was dead from the start. Units can also die while they learn. Take the good seed, 2, and make the learning
# rate four times as large, 0.8.

# %%
with whygrad.record() as killed:
    train(2, 0.8, 30, nn.ReLU())

killed.table().loc[[0, 1, 2, 3, 29], ["loss", "hidden.bias[0]", "hidden.bias[0]_grad", "hidden.bias[1]"]]

# %% [markdown]
# Step 0 is the same as in the good run up to the update; but the update is four times as long, and it shoots past the
# goal. The predictions are much too large then. So in step 1 the gradient has the other sign and is large. It throws
# both biases deep below 0.
#
# From there on no example reaches the positive side of either unit. Both are dead, and every gradient of the hidden
# layer is 0.

# %%
print("loss:", killed.why("loss@29", depth=0).value)
hidden(killed, 29)

# %% [markdown]
# What is left is the bias of the output. It learns the best constant answer, the mean of the targets:
# `(2 + 1 + 0 + 1 + 2)/5 = 1.2`.
#
# Two remedies. A smaller learning rate does not throw so far. And there are bends that are nowhere flat: *leaky ReLU*
# has the slope 1 on the positive side and a small one, here 0.1, on the negative side. We go back to the dead start,
# seed 0.

# %%
with whygrad.record() as leaky:
    train(0, 0.2, 300, nn.LeakyReLU(0.1))

print("gradient:", leaky.why("hidden.weight[0,0].grad@0", depth=0).value)
print("loss:", leaky.why("loss@299", depth=0).value)

# %% [markdown]
# The gradient is not 0 any more, so the unit moves; and the loss is lower than 0.4.
#
# ## Exercises
#
# Correct each formula until the answer is *same bits* or *equal*. `z` is not known here: a pre-activation is called by
# the name of the layer that made it, `linear.output`.
#
# **1.** The answer of the tanh neuron in step 0.

# %%
run.check("relu(weight * x + bias)", "prediction[0,0]@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `tanh(weight * x + bias)`
#
# </details>
#
# **2.** The gradient of its pre-activation in step 0. Mind what is squared.

# %%
run.check("2 * (prediction - target) * (1 - linear.output^2)", "linear.output[0,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2 * (prediction - target) * (1 - prediction^2)`
#
# </details>
#
# **3.** The gradient of its weight in step 3. Something is forgotten.

# %%
run.check("2 * (prediction - target) * x", "linear.weight[0,0].grad@3")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2 * (prediction - target) * (1 - prediction^2) * x`
#
# </details>
#
# **4.** The network with ReLUs, in the run `good`: the gradient of the pre-activation of unit 0 for the last example,
# in step 0. Its ReLU is open there, the slope is 1. What else stands between this unit and the prediction?

# %%
good.check("2/n * (prediction[4,0] - target[4,0])", "hidden.output[4,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2/n * (prediction[4,0] - target[4,0]) * output.weight[0,0]`
#
# </details>
#
# ## What you can do now
#
# - You can say what an activation function is for, and what it does to a gradient on its way back.
# - You can tell a small gradient from one that is exactly 0, and find out which factor made it 0.
# - You know how a unit saturates, how it dies, and what helps.
#
# **Live:** `whygrad play lesson-3` opens this lesson in the browser.
#
# **Next:** [Lesson 4: a simple network](4-a-simple-network.ipynb). Two units, a bend, and a task that no line can do.
