# %% [markdown]
# # Lesson 4: a simple network
#
# *XOR*, exclusive or: the answer is 1 when exactly one of two inputs is 1. It is the smallest task that no single
# neuron can do. Three neurons can. This lesson trains them, looks at what each one has become, and follows the
# gradients back by hand, path by path.
#
# You need lessons 1 to 3. It takes about twenty minutes.

# %%
import pandas
import torch
from torch import nn

import whygrad

torch.manual_seed(0)
torch.set_num_threads(1)

x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
xor = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
pandas.DataFrame({"x0": x[:, 0], "x1": x[:, 1], "target": xor[:, 0]})

# %% [markdown]
# ## One neuron cannot do it
#
# With two inputs a neuron has two weights: `prediction = w0 · x0 + w1 · x1 + bias`. Suppose it answers 0 to the first
# row: the bias is 0. For 1 in the second and third row both weights must be 1. Then the answer to the last row is 2,
# and not 0.
#
# Training finds the best compromise there is.


# %%
class Neuron(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x):
        return self.linear(x)


def train(make, target, steps, lr=0.5):
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for step in range(steps):
        prediction = model(x)
        loss = nn.functional.mse_loss(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


with whygrad.record() as alone:
    train(Neuron, xor, 200)

print("loss:", alone.why("loss@199", depth=0).value)
for k in range(4):
    print("prediction", k, alone.why(f"prediction[{k},0]@199", depth=0).value)

# %% [markdown]
# It answers one half to everything. The loss stays at 0.25, because `0.5^2 = 0.25`.
#
# ## A network
#
# Now two hidden units with a tanh, and one output neuron that adds up what they say. Count the parameters: each hidden
# unit has two weights and a bias, the output has two weights and a bias. That makes `3 * 3 = 9`.


# %%
class Network(nn.Module):
    def __init__(self, outputs=1):
        super().__init__()
        self.hidden = nn.Linear(2, 2)
        self.bend = nn.Tanh()
        self.output = nn.Linear(2, outputs)

    def forward(self, x):
        return self.output(self.bend(self.hidden(x)))


with whygrad.record() as run:
    train(Network, xor, 500)

columns = ["loss", "prediction[0,0]", "prediction[1,0]", "prediction[2,0]", "prediction[3,0]"]
run.table().loc[[0, 1, 50, 100, 150, 200, 250, 300, 499], columns].set_axis(["loss", "p0", "p1", "p2", "p3"], axis=1)

# %% [markdown]
# It learns XOR; but look how. For a hundred steps the loss hardly moves. It stays near 0.25, where the single neuron
# stayed: the network, too, answers about one half to everything. Such a stretch is called a *plateau*. Then, between
# step 100 and step 250, something happens.
#
# After step 200 the loss is even higher than after step 150, 0.0520 and not 0.0384. A step is only good as far as the
# slope tells the truth, and a long step can go too far.
#
# ## What does each hidden unit do?
#
# Ask the trained network. These are the answers of the two units, after the tanh, in the last step.


# %%
def units(step):
    """A row an example: what each hidden unit answers, and the prediction."""
    rows = []
    for k in range(4):
        said = [run.why(f"bend.output[{k},{unit}]@{step}", depth=0).value for unit in range(2)]
        rows.append((*x[k].tolist(), *said, run.why(f"prediction[{k},0]@{step}", depth=0).value))
    return pandas.DataFrame(rows, columns=["x0", "x1", "unit 0", "unit 1", "prediction"])


units(499)

# %% [markdown]
# Read the column of unit 0 by its signs: negative, positive, positive, positive. It says yes when *at least one* input
# is 1. That is OR.
#
# Unit 1 says no only when *both* are 1: positive, positive, positive, negative. That is NAND, not both.
#
# And the output? Here are its parameters:

# %%
for name in ("output.weight[0,0]", "output.weight[0,1]", "output.bias[0]"):
    print(name, run.why(f"{name}@499", depth=0).value)

# %% [markdown]
# Both weights are positive and about the same. So the output counts how many units say yes. Two of them: 1. One of
# them: 0. That is AND.
#
# At least one, *and* not both: this is exactly one. The network has found a logical formula for XOR, out of OR, NAND
# and AND. Nobody wrote it into it.
#
# Nor is it the only one. Another start leads to other units, and often to some that have no name.
#
# ## Back through the network
#
# How did the first layer learn? It has no targets of its own. All it gets is what comes back from the output. We take
# one weight, from x0 to unit 0, in step 100, the middle of the plateau.

# %%
run.why("hidden.weight[0,0].grad@100", depth=3)

# %% [markdown]
# From the bottom up, this is a chain of four factors. For each example the path from the weight to the loss goes
# through
#
# - x0, since the weight is multiplied by it,
# - the slope of the tanh, `1 − tanh(z)²`,
# - the output weight, through which this unit is heard,
# - and the slope of the loss, `2/n · (prediction − target)`.
#
# The chain rule multiplies along a path. Then the sum runs over the examples. whygrad's name for what the tanh gave is
# `bend.output`. Here is the whole as one formula.

# %%
run.check(
    """
    2/n * (prediction[2,0] - target[2,0]) * output.weight[0,0] * (1 - bend.output[2,0]^2) * x[2,0]
  + 2/n * (prediction[3,0] - target[3,0]) * output.weight[0,0] * (1 - bend.output[3,0]^2) * x[3,0]
""",
    "hidden.weight[0,0].grad@100",
)

# %% [markdown]
# Two examples are enough: in the other two x0 is 0, so they have no say in this weight.
#
# Of the two that have a say, example 2 gives −0.06043 and example 3 gives 0.04826: `-0.06043 + 0.04826 = -0.01217`.
# They cancel for the greater part. That is why the plateau is flat: not because nobody is wrong, but because the wishes
# of the examples nearly add up to nothing.
#
# ## More than one path
#
# So far each example had one path from this weight to the loss. Give the network a second output: besides XOR it shall
# also answer AND, which is 1 only when both inputs are 1. Together the two outputs add two binary digits: XOR is the
# sum digit, AND is the carry. Engineers call it a *half adder*.

# %%
both = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def adder():
    return Network(outputs=2)


with whygrad.record() as adding:
    train(adder, both, 500)

rows = [
    [*x[k].tolist(), *(adding.why(f"prediction[{k},{digit}]@499", depth=0).value for digit in (0, 1))] for k in range(4)
]
pandas.DataFrame(rows, columns=["x0", "x1", "sum digit", "carry"])

# %% [markdown]
# Now unit 0 is heard by two outputs. When its answer to an example changes, the loss changes on two paths. Changes that
# come on different paths at the same time are *added*. So here is the whole rule of backpropagation:
#
# **The gradient is the sum over all paths to the loss; along each path the slopes are multiplied.**
#
# Ask for the gradient of what unit 0 said to example 3, in step 0:

# %%
adding.why("bend.output[3,0].grad@0", depth=1)

# %% [markdown]
# Two terms, one for each output: the gradient of that output, times the weight on the way there. Going back, PyTorch
# does not walk every path to its end. It adds up at each unit what arrives there, and goes on from there with the sum.
# In a network with many layers that saves nearly everything: there are more paths than anyone could count.
#
# For a weight of the first layer, whygrad tells both: how much came by which example, and how much by which path.

# %%
adding.why("hidden.weight[0,0].grad@0", depth=0)

# %% [markdown]
# Here the paths do not fight: both push the weight down, the carry more than the sum digit. In a larger network these
# parts tell which of the tasks a unit is working for.
#
# ## Exercises
#
# Correct each formula until the answer is *same bits* or *equal*. All questions are about step 100 of the network with
# one output, `run`, unless another is named.
#
# **1.** Forward first: the prediction for example 3, from what the two units said to it.

# %%
run.check(
    "output.weight[0,0] * bend.output[3,0] + output.weight[0,1] * bend.output[3,1]",
    "prediction[3,0]@100",
)

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `output.weight[0,0] * bend.output[3,0] + output.weight[0,1] * bend.output[3,1] + output.bias[0]`
#
# </details>
#
# **2.** The gradient of what unit 1 said to example 3.

# %%
run.check("2/n * (prediction[3,0] - target[3,0]) * output.weight[0,0]", "bend.output[3,1].grad@100")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2/n * (prediction[3,0] - target[3,0]) * output.weight[0,1]`
#
# </details>
#
# **3.** One step further back: the gradient of the pre-activation of unit 1, this time for example 0. There is a
# mistake in the slope of the tanh.

# %%
run.check(
    "2/n * (prediction[0,0] - target[0,0]) * output.weight[0,1] * (1 - hidden.output[0,1]^2)",
    "hidden.output[0,1].grad@100",
)

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2/n * (prediction[0,0] - target[0,0]) * output.weight[0,1] * (1 - bend.output[0,1]^2)`
#
# </details>
#
# **4.** In the half adder: the gradient of what unit 0 said to example 3, in step 0. A path is missing.
# (`prediction[3,1].grad` is the gradient of the second output.)

# %%
adding.check("prediction[3,0].grad * output.weight[0,0]", "bend.output[3,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `prediction[3,0].grad * output.weight[0,0] + prediction[3,1].grad * output.weight[1,0]`
#
# </details>
#
# ## What you can do now
#
# - You can say why one neuron cannot do XOR, and how three can.
# - You can read a small trained network: what each unit answers, and what the output makes of it.
# - You can compute a gradient of the first layer by hand: multiply along each path, add over the paths and the
# examples.
#
# **Live:** `whygrad play lesson-4` opens this network in the browser, and `whygrad play network` a larger one.
#
# **Next:** [Lesson 5: digits](5-digits.ipynb). The same rule, in a network that reads digits.
