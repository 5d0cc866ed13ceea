# %% [markdown]
# # Lesson 7: low precision
#
# A number in a computer has a fixed number of bits. With 32 of them, rounding is easy to overlook. With 16 it is not:
# training stands still, gradients vanish, and no error is raised.
#
# Large networks are trained with 16 bits all the same, because it takes half the memory and a fraction of the time.
# This lesson puts the two formats of 16 bits under the microscope, and then the two tricks that make them work: *master
# weights* and *loss scaling*.
#
# You need lessons 1 and 2.

# %%
import pandas
import torch
from torch import nn

import whygrad

torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## Three formats
#
# A floating-point number has three parts: a sign, an exponent, and a *significand*, the digits. The exponent says how
# large the number is, the significand how finely it is told from its neighbours.
#
# *float16* and *bfloat16* both have 16 bits, and spend them in different ways. float16 has more digits, bfloat16 has
# the wider range: the same as float32.

# %%
rows = {}
for dtype, smallest in ((torch.float32, 2.0**-149), (torch.float16, 2.0**-24), (torch.bfloat16, 2.0**-133)):
    info = torch.finfo(dtype)
    rows[str(dtype).removeprefix("torch.")] = {
        "bits": info.bits,
        "gap after 1": info.eps,
        "largest": info.max,
        "smallest normal": info.smallest_normal,
        "smallest of all": torch.tensor(smallest, dtype=dtype).item(),
    }
pandas.DataFrame(rows).T

# %% [markdown]
# The *gap after 1* is the distance from 1 to the next number. Below the smallest *normal* number, the digits get fewer
# and fewer: such numbers are called *subnormal*. Below half of the smallest of all, everything is 0. Above the largest
# comes infinity.

# %%
print(torch.tensor(1.001, dtype=torch.bfloat16).item())  # 1 is nearer than the next number
print(torch.tensor(70000.0, dtype=torch.float16).item())  # too large
print(torch.tensor(2e-8, dtype=torch.float16).item())  # too small

# %% [markdown]
# ## Lost updates
#
# One neuron, four points on the line `1.5 · x + 0.5`, and 300 steps of SGD. We train it in each of the formats.

# %%
x = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
target = 1.5 * x + 0.5


def train(dtype, steps):
    torch.manual_seed(0)
    model = nn.Linear(1, 1).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, targets = x.to(dtype), target.to(dtype)
    for step in range(steps):
        prediction = model(inputs)
        loss = nn.functional.mse_loss(prediction, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


runs = {}
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    with whygrad.record() as run:
        train(dtype, 300)
    runs[str(dtype).removeprefix("torch.")] = run

pandas.DataFrame({name: run.table()["loss"] for name, run in runs.items()}).iloc[[0, 20, 50, 100, 200, 299]]

# %% [markdown]
# For twenty steps the three go the same way. Then bfloat16 stops: its loss is 0.036 at step 50, and is the same at the
# end. float16 goes on, a little behind float32.

# %%
bfloat16 = runs["bfloat16"]
bfloat16.table()[["loss", "weight", "bias", "weight_grad", "bias_grad"]].iloc[[0, 10, 15, 20, 50, 100, 299]]

# %% [markdown]
# At the end the gradient of the weight is −0.367. That is not zero. The optimizer runs. And the weight does not move.
# Why?

# %%
bfloat16.why("weight[0,0]@299", depth=1)

# %% [markdown]
# The update that is asked for is `0.01 · 0.367 = 0.00367`. Between 1 and 2, two neighbours in bfloat16 are 0.0078125
# apart. Half of that is `0.0078125 / 2 = 0.00390625`. The update is smaller, so the sum lies nearer to the old weight
# than to the next one, and is rounded back to it.
#
# (`bfloat16(lr)` in the equation is the learning rate, rounded to bfloat16 as well.)
#
# This is a *lost update*. It was lost in this step, and in the next one everything is as it was, so it is lost again,
# and for ever. The whole way of the weight:

# %%
bfloat16.updates("weight[0,0]@299")

# %% [markdown]
# From step 22 on, nothing. All updates together ask for 2.34, and the weight moved by 1.34. The rest was lost to
# rounding.
#
# How many updates were lost in each format? The table of tensors counts them, in all steps.

# %%
lost = {name: run.table(tensors=True).groupby("tensor")["lost"].mean() for name, run in runs.items()}
pandas.DataFrame(lost).round(3)

# %% [markdown]
# These are shares: 0.927 of the updates of the bfloat16 weight were lost. float16 lost 0.617 of them. It gets on all
# the same, because now and then one is large enough.
#
# ## Master weights
#
# The update is lost because the weight is coarse. So let us keep the weights twice.
#
# The *master weights* are in float32. The optimizer updates them, and there a small step is not lost. Before each
# forward pass they are rounded to bfloat16, and the network computes with these. Small steps add up in the master,
# until they are large enough to be seen in the copy.


# %%
def train_with_master(dtype, steps):
    torch.manual_seed(0)
    model = nn.Linear(1, 1).to(dtype)
    master = nn.Linear(1, 1)
    master.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(master.parameters(), lr=0.01)
    inputs, targets = x.to(dtype), target.to(dtype)
    for step in range(steps):
        prediction = model(inputs)
        loss = nn.functional.mse_loss(prediction, targets)
        model.zero_grad()
        loss.backward()
        for large, small in zip(master.parameters(), model.parameters(), strict=True):
            large.grad = small.grad.float()
        optimizer.step()
        model.load_state_dict(master.state_dict())


with whygrad.record() as mastered:
    train_with_master(torch.bfloat16, 300)

columns = ["loss", "master.weight", "model.weight", "model.weight_grad"]
mastered.table()[columns].iloc[[0, 20, 50, 100, 200, 299]]

# %%
mastered.why("master.weight[0,0]@299", depth=1)

# %% [markdown]
# The master moves by `0.01 · 0.0625 = 0.000625`, far less than a gap of bfloat16. Over many such steps the copy
# follows, and the loss is 0.00708 at the end. float32 alone came to 0.00674.
#
# ## Underflow: gradients that become zero
#
# Master weights save an update that is small beside the weight. They cannot save a gradient that is small in itself. A
# gradient is a product of many factors. In float16, a product below 2⁻²⁵ is rounded to 0. This is called *underflow*.
#
# Here are two neurons in a row, each with one weight and no bias. Input and weights are small, and so is the error.


# %%
class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(1, 1, bias=False)
        self.second = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.first.weight, 0.05)
        nn.init.constant_(self.second.weight, 0.008)

    def forward(self, x):
        return self.second(self.first(x))


def one_step(dtype, scale):
    model = Chain().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.tensor([[0.01]], dtype=dtype)
    target = torch.tensor([[0.0001]], dtype=dtype)
    prediction = model(x)
    loss = nn.functional.mse_loss(prediction, target)
    optimizer.zero_grad()
    scaled = loss * scale
    scaled.backward()
    optimizer.step()


def gradients(run):
    return {name: run.why(f"{name}[0,0].grad@0", depth=0).value for name in ("first.weight", "second.weight")}


with whygrad.record() as fine:
    one_step(torch.float32, 1.0)
with whygrad.record() as small:
    one_step(torch.float16, 1.0)

pandas.DataFrame({"float32": gradients(fine), "float16": gradients(small)})

# %% [markdown]
# In float16, the first gradient is 0. From such a gradient the weight learns nothing. The second is a quarter too
# large: so near to the end of the range, the numbers lie far apart. Only two gaps fit between it and 0.

# %%
small.why("first.weight[0,0].grad@0", depth=3)

# %% [markdown]
# Read it from the bottom. Each factor is harmless. But their product is 1.5e-08 in size. The smallest float16 number
# above zero is 5.96e-08. The product is less than half of that, so it is rounded to 0.
#
# ## Loss scaling
#
# The remedy is simple. Multiply the loss by a large number before `backward()`. Every gradient is then larger by the
# same factor, because each is a product with the gradient of the loss in it. Afterwards divide by the factor again, in
# float32, where the result is not too small.
#
# A power of two is best: it changes only the exponent and not a single digit.

# %%
with whygrad.record() as large:
    one_step(torch.float16, 1024.0)

divided = {name: gradient / 1024 for name, gradient in gradients(large).items()}
pandas.DataFrame({"float32": gradients(fine), "scaled": gradients(large), "scaled / 1024": divided})

# %% [markdown]
# Both gradients are back, and right to three digits. That is as much as float16 can do.

# %%
large.why("first.weight[0,0].grad@0", depth=2)

# %% [markdown]
# How large may the factor be? float16 ends at 65504. A factor of 65536 is more than that:

# %%
with whygrad.record() as too_large:
    one_step(torch.float16, 65536.0)

too_large.why("first.weight[0,0].grad@0", depth=2)

# %% [markdown]
# Infinity everywhere. So the factor has to be found by trying. PyTorch's `torch.amp.GradScaler` does that. When a
# gradient is infinite or not a number, it leaves out this step and makes the factor smaller. When many steps in a row
# went well, it makes it larger. These are its settings:

# %%
scaler = torch.amp.GradScaler("cpu")
print("starts with", scaler.get_scale())
print("after an infinity, times", scaler.get_backoff_factor())
print("after", scaler.get_growth_interval(), "good steps, times", scaler.get_growth_factor())

# %% [markdown]
# A factor of 65536 is not too large there: with `torch.autocast`, which it is made for, the loss itself is in float32.
#
# bfloat16 has the exponents of float32 and needs no scaling. It pays with digits. So loss scaling goes with float16,
# and master weights go with both.
#
# ## Exercises
#
# Each cell holds an attempt with a fault in it. Run it, read what whygrad says, put it right, run it again. The right
# answer is folded away below the cell.
#
# **1.** The gradient of the second weight, with loss scaling. It is the gradient of the prediction, times what the
# second neuron gets as its input.

# %%
large.check("prediction.grad * input", "second.weight[0,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `prediction.grad * first.output`
#
# The input of the second neuron is the output of the first: its weight times its own input.
#
# </details>
#
# **2.** The master weight after the last step. From which weight does the update start?

# %%
mastered.check("model.weight[0,0] - lr * model.weight[0,0].grad", "master.weight[0,0]@299")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `master.weight[0,0] - lr * model.weight[0,0].grad`
#
# From the master weight. The rounded copy is only there to compute with.
#
# </details>
#
# **3.** The gradient of the first weight, with loss scaling. (There is one prediction, so the mean divides by 1.)

# %%
large.check("2 * (prediction - target) * second.weight * input", "first.weight[0,0].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `1024 * 2 * (prediction - target) * second.weight * input`
#
# Every gradient of the scaled loss has the factor 1024 in it.
#
# </details>
#
# ## What you can do now
#
# - You can say what a format of 16 bits keeps, and what it rounds away.
# - You can find lost updates in a run, and gradients that became zero.
# - You know what master weights and loss scaling do, and which fault each of them mends.
#
# **Live:** `whygrad play lesson-7` opens these formats in the browser.
#
# **Next:** [Lesson 8: a tiny transformer](8-a-tiny-transformer.ipynb). It is the kind of network that language models
# are made of.
