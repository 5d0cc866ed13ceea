# %% [markdown]
# # Lesson 6: optimizers
#
# A gradient says which way is downhill. What to do with it is the business of the *optimizer*.
#
# So far the optimizer took a small step against the gradient, and forgot it. This lesson follows two that remember:
# *momentum* and *Adam*. Neither is magic. Each is three or four lines of arithmetic, and we check every line, number by
# number.
#
# You need lessons 1 and 2: what a gradient is, and a step of `SGD`.

# %%
import pandas
import torch
from torch import nn

import whygrad

torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## A task with a steep and a flat side
#
# One neuron with two inputs and no bias. The numbers of the first input are larger than those of the second. The right
# answer is `x₀ + 10 · x₁`, so the neuron should find the weights 1 and 10.
#
# Such inputs are common: a length in metres beside one in kilometres. They make the task lopsided. The first weight has
# a large effect on the loss, the second a small one.

# %%
x = torch.tensor([[1.0, 0.15], [2.0, -0.15], [-1.0, 0.3], [-2.0, -0.3]])
target = x @ torch.tensor([[1.0], [10.0]])


def train(make, steps):
    torch.manual_seed(0)
    model = nn.Linear(2, 1, bias=False)
    optimizer = make(model.parameters())
    for step in range(steps):
        prediction = model(x)
        loss = nn.functional.mse_loss(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# %% [markdown]
# ## Plain SGD
#
# The update of *stochastic gradient descent* is `weight − lr · gradient`. We record 60 steps of it.

# %%
with whygrad.record() as sgd:
    train(lambda parameters: torch.optim.SGD(parameters, lr=0.15), 60)

columns = ["loss", "weight[0,0]", "weight[0,1]", "weight[0,0]_grad", "weight[0,1]_grad"]
sgd.table()[columns].iloc[[0, 1, 2, 3, 10, 20, 59]]

# %%
sgd.why("weight[0,1]@3", depth=1)

# %% [markdown]
# Both weights start near 0. The first is at 0.857 after one step and at 1.07 after two, close to its goal. The second
# crawls. Its gradient is small, so its steps are small, and after 60 steps it has come to 6.5.
#
#  A larger learning rate would help the second weight, but the first cannot bear it. With 0.45 it jumps over the goal,
# farther each time:

# %%
with whygrad.record(steps="none") as wild:
    train(lambda parameters: torch.optim.SGD(parameters, lr=0.45), 60)

wild.table()[columns].iloc[[0, 1, 2, 3, 10, 20, 59]]

# %% [markdown]
# One learning rate for all weights: the steepest direction dictates it, and the flat ones wait. Both optimizers of this
# lesson answer to that.
#
# ## Momentum: steps that add up
#
# *Momentum* keeps a running sum of gradients, the *momentum buffer*. In each step the old buffer is made a little
# smaller, and the new gradient is added. The weight then follows the buffer, not the gradient:
#
# - `buffer = momentum · buffer + gradient`
# - `weight = weight − lr · buffer`
#
# Think of a ball that rolls downhill. It does not stop at once when the ground gets flat.

# %%
with whygrad.record() as momentum:
    train(lambda parameters: torch.optim.SGD(parameters, lr=0.15, momentum=0.9), 60)

momentum.table()[columns].iloc[[0, 1, 2, 3, 10, 20, 59]]

# %% [markdown]
# The loss falls below 0.01. In the first run it was still at 0.7 by then. The second weight is near 10 after 60 steps.
# On the way there it went past its goal, to 12.0 at step 20. The first weight did so as well: it was at 2.2 after three
# steps. A ball does not stop at once when it has arrived, either.
#
# Here is one step.

# %%
momentum.why("weight[0,1]@2", depth=1)

# %%
momentum.why("optimizer.momentum_buffer(weight)[0,1]@2", depth=2)

# %% [markdown]
# Read it from the top. The weight follows the buffer. The buffer is 0.9 of what it was, plus the gradient. (`op0` is
# the product in between; PyTorch computes it in place.) In the very first step there is no buffer yet, and it simply
# becomes the gradient.
#
# How much can it add up to? If the gradient were always the same number g, the buffer would approach `g / (1 − 0.9)`,
# which is ten times g: `1 / (1 - 0.9) = 10`. Where gradients agree, the steps become up to ten times as long. Where
# they change their sign from step to step, they cancel.

# %%
state = "optimizer.momentum_buffer(weight)[0,1]"
rows = [
    {
        "gradient": momentum.why(f"weight[0,1].grad@{step}", depth=0).value,
        "buffer": momentum.why(f"{state}@{step}", depth=0).value,
    }
    for step in range(10)
]
pandas.DataFrame(rows).rename_axis("step")

# %% [markdown]
# ## Adam: a step of its own for each weight
#
# *Adam* keeps two numbers for each weight. Both are *moving averages*: the old value counts for most, the new one for a
# little.
#
# - `exp_avg`, the average gradient: `m = beta1 · m + (1 − beta1) · gradient`, with `beta1` = 0.9.
# - `exp_avg_sq`, the average squared gradient: `v = beta2 · v + (1 − beta2) · gradient²`, with `beta2` = 0.999.
#
# Then it divides the one by the square root of the other. A weight whose gradients are large is divided by something
# large; a weight whose gradients are small, by something small. Both move at about the same speed.

# %%
with whygrad.record() as adam:
    train(lambda parameters: torch.optim.Adam(parameters, lr=0.2), 60)

adam.table()[columns].iloc[[0, 1, 2, 3, 10, 20, 59]]

# %% [markdown]
# Look at the first row. The first gradient is −5.75, the second −1.16. And yet both weights moved by the same 0.2,
# which is the learning rate. Here is why.
#
# ## The first step of Adam, number by number

# %%
adam.why("weight[0,1]@0", depth=1)

# %%
adam.why("optimizer.exp_avg(weight)[0,1]@0", depth=1)

# %%
adam.why("optimizer.exp_avg_sq(weight)[0,1]@0", depth=1)

# %%
adam.why("optimizer.op12(weight)[0,1]@0", depth=3)

# %% [markdown]
# `op12` is what `exp_avg` is divided by. All of it together, in the order in which it is computed:
#
# - `exp_avg` started at 0. It is now a tenth of the gradient: `(1 - 0.9) · -1.1577232 = -0.11577232`.
# - `exp_avg_sq` started at 0 as well. It is now a thousandth of the gradient's square.
# - Its square root, divided by the square root of `1 − 0.999`, is the size of the gradient again, 1.1577232.
# - A tiny `eps` is added, so that nothing is ever divided by zero.
# - `exp_avg`, divided by `1 − 0.9`, is the gradient again, −1.1577232.
#
# So the first step divides the gradient by its own size. What is left is its sign: `-1.1577232 / 1.1577232 = -1`. That
# is why, in the first step, each weight moves by the learning rate, whatever its gradient is.
#
# ## Why the corrections?
#
# Both averages start at 0, and at first they are too small: after one step `exp_avg` holds only a tenth of the
# gradient. Adam knows by how much. After `t` steps an average of equal numbers would have reached the share `1 −
# beta^t` of them, so it is divided by that. This is called *bias correction*. (The word *bias* here has nothing to do
# with the bias of a neuron.)

# %%
shares = {step: {"1 - beta1^t": 1 - 0.9**step, "1 - beta2^t": 1 - 0.999**step} for step in (1, 2, 10, 100, 1000)}
pandas.DataFrame(shares).T.rename_axis("t").round(4)

# %% [markdown]
# A later step, when the averages differ from the gradient:

# %%
adam.why("weight[0,1]@5", depth=1)

# %% [markdown]
# `step` is 6 here, because Adam counts from 1 and the table from 0. Its averages agree still: the gradients of this
# weight have all had the same sign and nearly the same size. So this step is about as long as the learning rate, too.
# Were the signs to change from step to step, `exp_avg` would shrink, `exp_avg_sq` would not, and the steps would get
# short.
#
# ## The three beside each other

# %%
runs = {"SGD": sgd, "momentum": momentum, "Adam": adam}
pandas.DataFrame({name: run.table()["loss"] for name, run in runs.items()}).iloc[[0, 5, 10, 20, 40, 59]]

# %% [markdown]
# On this task, with these learning rates, momentum wins. Do not take that for a law. Another learning rate, or another
# task, gives another order. What you can take from it: momentum sums up what agrees; Adam gives each weight steps of
# its own size.
#
# ## Exercises
#
# Each cell holds an attempt with a fault in it. Run it, read what whygrad says, put it right, run it again. The right
# answer is folded away below the cell.
#
# In these formulas a name without a step means the number that went in: `weight[0,1]` is the weight before the update,
# `momentum_buffer` the buffer before it. `grad` is the gradient of the weight that is asked.
#
# **1.** The momentum buffer after step 2. (Some books define momentum like this. PyTorch does not.)

# %%
momentum.check("momentum * momentum_buffer + (1 - momentum) * grad", "optimizer.momentum_buffer(weight)[0,1]@2")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `momentum * momentum_buffer + grad`
#
# The whole gradient is added, not a tenth of it.
#
# </details>
#
# **2.** The weight after step 2, trained with momentum.

# %%
momentum.check("weight[0,1] - lr * grad", "weight[0,1]@2")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `weight[0,1] - lr * momentum_buffer@2`
#
# The weight follows the buffer. (It is the buffer that this step has just made: `@2` says so.)
#
# </details>
#
# **3.** Adam's average gradient after step 5.

# %%
adam.check("beta1 * exp_avg + grad", "optimizer.exp_avg(weight)[0,1]@5")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `beta1 * exp_avg + (1 - beta1) * grad`
#
# It is an average: what the old value gives up, the new one gets.
#
# </details>
#
# **4.** Adam's whole update in step 5. The attempt knows the correction of `exp_avg`. What about the other average?

# %%
adam.check(
    "weight[0,1] - lr * (exp_avg@5 / (1 - beta1^step)) / (sqrt(exp_avg_sq@5) + eps)",
    "weight[0,1]@5",
)

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `weight[0,1] - lr * (exp_avg@5 / (1 - beta1^step)) / (sqrt(exp_avg_sq@5 / (1 - beta2^step)) + eps)`
#
# `exp_avg_sq` is corrected as well, before the square root.
#
# </details>
#
# ## What you can do now
#
# - You can compute a step of SGD, of momentum and of Adam by hand.
# - You know why Adam's first steps are all about as long as the learning rate.
# - You can open the state of an optimizer and ask each number in it why it is what it is.
#
# **Live:** `whygrad play lesson-6` opens the three optimizers in the browser.
#
# **Next:** [Lesson 7: low precision](7-low-precision.ipynb). What happens when the numbers have only 16 bits?
