# %% [markdown]
# # Lesson 2: a batch
#
# In [lesson 1](1-one-neuron.ipynb) one neuron learned from one example. Now it gets four at once. They do not agree
# about what it should do, and the loss is a mean. What does a mean do to a gradient?
#
# You need lesson 1: weight, bias, loss, gradient, update. It takes about a quarter of an hour.

# %%
import pandas
import torch
from torch import nn

import whygrad

torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## Four examples
#
# An *example* is an input together with its target. Several examples that go through a model at once are a *batch*.
#
# Our batch has four examples with one input each. So `x` has four rows and one column; the shape is `(4, 1)`. The first
# index counts the examples, in PyTorch nearly always.
#
# This time the numbers are float32, the format that PyTorch takes unless told otherwise.

# %%
x = torch.tensor([[0.0], [0.7], [1.4], [2.1]])
target = torch.tensor([[0.0], [3.0], [2.0], [5.0]])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


with torch.no_grad():  # only a look: nothing will be learned from it
    first = Net()(x)
pandas.DataFrame({"x": x[:, 0], "target": target[:, 0], "prediction": first[:, 0]})

# %% [markdown]
# One call gave four predictions. All four were made by the same weight and the same bias.
#
# There is only one line, and the four points do not lie on a line: from the second example to the third the target
# falls from 3 to 2, everywhere else it rises. So no weight and no bias can make the neuron right about all of them.
#
# ## The loss of a batch is a mean
#
# `nn.MSELoss` squares the error of each example and takes the mean:
#
# `loss = sum((prediction − target)²) / n`
#
# The *error* is prediction − target, and n is the number of examples, here 4. Let us train for 300 steps and record
# them.


# %%
def train(x, target, steps, lr=0.2, reduction="mean"):
    torch.manual_seed(0)
    model = Net()
    loss_function = nn.MSELoss(reduction=reduction)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for step in range(steps):
        prediction = model(x)
        loss = loss_function(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


with whygrad.record() as run:
    train(x, target, 300)

run.why("loss@0", depth=1)

# %% [markdown]
# Four squares, their sum, divided by 4. The example with the largest error dominates: the last one is off by about 4.5,
# and `(-4.479)^2 = 20.06` is more than two thirds of the whole sum. Squares make large errors count most.
#
# ## The gradient of a batch is a sum
#
# The weight took part in all four predictions. So there are four ways from the weight to the loss. When the weight
# grows a little, the loss changes on all four ways at once, and the changes add up:
#
# `∂loss/∂weight = sum(2/n · (prediction − target) · x)`
#
# Compare with lesson 1: it is the same product as there, once for each example. The n of the mean stands below each.

# %%
run.why("linear.weight[0,0].grad@0", depth=1)

# %% [markdown]
# Below the equation stands *By example*: what each of the four contributed. whygrad gives these parts as data, too, so
# we can put them into a table and compute them ourselves beside it.


# %%
def by_example(run, address):
    """What each example contributed to a gradient."""
    found = next(each for each in run.why(address, depth=0).contributions if each.by == "example")
    return {int(part.label[6:-1]): part.amount for part in found.parts}  # the label is input[0], input[1], …


def parts(run, step):
    """A row an example."""
    rows = []
    contributed = by_example(run, f"linear.weight[0,0].grad@{step}")
    for k in range(len(contributed)):
        error = run.why(f"prediction[{k},0]@{step}", depth=0).value - target[k, 0].item()
        rows.append((x[k, 0].item(), error, 2 / 4 * error * x[k, 0].item(), contributed[k]))
    return pandas.DataFrame(rows, columns=["x", "error", "2/n · error · x", "contributed"])


table = parts(run, 0)
print("sum:", table["contributed"].sum())
table

# %% [markdown]
# Three things to see here.
#
# The last example gives most of the gradient: −4.703 of −6.599. Its error is large, and its x is large. So the error
# says how urgent it is, and x says how much the weight can do about it.
#
# The first example gives nothing. Its x is 0, so the weight has no influence on its prediction. It is not right, its
# error is 0.536; but only the bias can help it.
#
# All other parts have the same sign. All agree that the weight should grow. That will change.
#
# ## What the mean does
#
# Why divide by n? Try a batch of eight: every example twice. It says nothing new.

# %%
with whygrad.record() as doubled:
    train(torch.cat([x, x]), torch.cat([target, target]), 1)

print("4 examples:", run.why("linear.weight[0,0].grad@0", depth=0).value)
print("8 examples:", doubled.why("linear.weight[0,0].grad@0", depth=0).value)

# %% [markdown]
# The gradient is the same. There are twice as many parts, and each is half as large, because n is 8 now. The mean makes
# the size of a gradient independent of the size of the batch. So a learning rate that is good for one batch size is not
# far off for another.
#
# Now take the mean away. `reduction="sum"` adds the squares up and does not divide.

# %%
with whygrad.record() as summed:
    train(x, target, 6, reduction="sum")

summed.table()[["loss", "weight", "weight_grad"]]

# %% [markdown]
# The first gradient is −26.397, four times −6.599. The step is four times as long, and that is too long: the weight
# jumps past the good place, farther each time. The loss grows in every step. This is called *divergence*. Learning rate
# and loss belong together: a number like 0.2 means nothing without knowing whether the loss is a sum or a mean.
#
# With a learning rate of a quarter, 0.05, the sum should do what the mean did. Does it, to the last bit?

# %%
with whygrad.record() as quarter:
    train(x, target, 300, lr=0.05, reduction="sum")

same = (quarter.table()[["weight", "bias"]] == run.table()[["weight", "bias"]]).all(axis=None)
print("the same bits in all 300 steps:", bool(same))

# %% [markdown]
# It does. To multiply or divide by 4 only shifts a binary number's point; nothing is rounded. With a batch of three
# examples it would be true but for some last bits.
#
# ## The end: everybody pulls, nothing moves
#
# Now look at how the training with the mean went on.

# %%
run.table().loc[[0, 1, 2, 5, 10, 50, 100, 200, 299], ["loss", "weight", "bias", "weight_grad", "bias_grad"]]

# %% [markdown]
# The loss falls to 0.8 and stays there. The weight ends at 2.0, the bias at 0.4. The gradient of the weight is 0: the
# training is over. But the loss is not 0, and no example is content:

# %%
parts(run, 299)

# %% [markdown]
# The errors are 0.4, −1.2, 1.2 and −0.4. Every prediction is wrong. Three of the four still have a wish for the weight,
# and it is no small one: −0.42, 0.84 and −0.42. But `-0.42 + 0.84 - 0.42 = 0`. They cancel.
#
# So a gradient of 0 does not mean that the model is right. It means that the wishes of the examples add up to nothing.
# They begin to cancel long before the end. whygrad measures how much: look at the last words of *By example*.

# %%
run.why("linear.weight[0,0].grad@50", depth=0)

# %% [markdown]
# In step 50 the parts are hundreds of times as large as their sum. Nearly all of every wish is lost on the others.
#
# The bias has its own sum, without x. It is 0 when the errors add up to 0: `0.4 - 1.2 + 1.2 - 0.4 = 0`. That is a small
# theorem: with this loss, a trained bias makes the errors add up to 0. At the end the table has 5.960464e-08 for its
# gradient. That is what rounding left: each part has an error in its last bits, and when large parts cancel, nothing
# but these errors remains. Do not look for a meaning in such a number.
#
# ## Half a batch
#
# Large data sets do not go through a model at once. One takes a few examples, does a step, and takes the next few. Such
# a part is called a *mini-batch*. What does the gradient of a half say about that of the whole?

# %%
for name, part in (("examples 0, 1", slice(0, 2)), ("examples 2, 3", slice(2, 4))):
    with whygrad.record() as half:
        train(x[part], target[part], 1)
    print(name, "gradient:", half.why("linear.weight[0,0].grad@0", depth=0).value)

# %% [markdown]
# −1.728 and −11.47: the halves differ much. But their mean is the gradient of the whole: `(-1.728 + (-11.47))/2 = -6.599`.
# Each half is an *estimate* of the whole. If examples are drawn at random, the estimate is right on average, and wrong
# every single time. Hence the *stochastic*, which means random, in stochastic gradient descent.
#
# ## Exercises
#
# Correct each formula until the answer is *same bits* or *equal*. `n` is the number of examples, and `sum(…)` or
# `mean(…)` runs over them: inside, `prediction`, `target` and `x` are those of one example.
#
# **1.** The loss of step 0.

# %%
run.check("sum((prediction - target)^2)", "loss@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `mean((prediction - target)^2)`
#
# </details>
#
# **2.** The gradient of one prediction, that of example 3, in step 0.

# %%
run.check("2 * (prediction[3,0] - target[3,0])", "prediction[3,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2/n * (prediction[3,0] - target[3,0])`
#
# </details>
#
# **3.** The gradient of the weight in step 0.

# %%
run.check("sum((prediction - target) * x)", "linear.weight[0,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `sum(2/n * (prediction - target) * x)`
#
# </details>
#
# **4.** The gradient of the bias in step 0.

# %%
run.check("mean(prediction - target)", "linear.bias[0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `2 * mean(prediction - target)`
#
# The bias is added and not multiplied by anything, so there is no x.
#
# </details>
#
# **5.** The first step of the training with a sum. What is its gradient?

# %%
summed.check("sum(2/n * (prediction - target) * x)", "linear.weight[0,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `sum(2 * (prediction - target) * x)`
#
# </details>
#
# ## What you can do now
#
# - You can take the gradient of a batch apart into what each example contributed.
# - You know what the mean is there for, and what happens to a learning rate without it.
# - You can tell a gradient that is 0 because all is well from one whose parts cancel.
#
# **Live:** `whygrad play lesson-2` opens this batch in the browser.
#
# **Next:** [Lesson 3: a bend](3-a-bend.ipynb). A line cannot pass through these four points. What can?
