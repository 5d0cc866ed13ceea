# %% [markdown]
# # Lesson 5: digits
#
# So far a network answered with a number. Now it answers with a choice: which of ten digits is this?
#
# You need lessons 1 to 4: what a weight, a bias, a loss and a gradient are, and how a hidden layer with ReLU works. New
# here are *softmax*, which makes scores into probabilities, and *cross-entropy*, the loss that goes with it. At the end
# we look at one mistake, and at what the network learns from it.

# %%
import copy
import itertools

import pandas
import torch
from torch import nn

import whygrad

torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## The data
#
# The digits are drawn by the two cells below. They look as if a hand had drawn them, but they are no one's handwriting.
#
# Each digit has a recipe: one or two strokes, made of straight lines between points. A point is two numerals, how far
# right it lies and how far down. The 7, for example, starts at the upper left, goes right, and then down to the left.

# %%
STROKES = [
    "10 30 41 45 36 16 05 01 10",
    "02 20 26",
    "01 10 30 41 42 06 46",
    "01 10 30 41 42 33 13, 33 44 45 36 16 05",
    "30 04 44, 33 36",
    "40 00 03 33 44 45 36 06",
    "30 11 03 05 16 36 45 44 33 13 04",
    "00 40 16",
    "10 30 41 42 33 13 02 01 10, 13 04 05 16 36 45 44 33",
    "42 33 13 02 01 10 30 41 36",
]

# %% [markdown]
# To draw a digit, each of its points is moved a little at random. Then the whole is slanted, stretched and shifted, and
# drawn with a thin pen or a thick one. So no two images are alike, and some are hard to read. You need not understand
# this cell in order to go on.
#
# Each image has 8 rows of 8 pixels. A pixel is a number from 0, all paper, to 1, all ink. The right answer is called
# the image's *label*.


# %%
def draw(digit, generator):
    slant, right, down, width, height, pen = (2 * torch.rand(6, generator=generator) - 1).tolist()
    image = torch.zeros(64)
    for stroke in STROKES[digit].split(","):
        points = torch.tensor([[float(x), float(y)] for x, y in stroke.split()])
        points += 0.35 * torch.randn(points.shape, generator=generator)  # an unsteady hand
        x, y = points[:, 0] - 2, points[:, 1] - 3
        x, y = (1 + width / 4) * (x - slant / 3 * y), (1 + height / 5) * y
        points = torch.stack([3.5 + 0.7 * right + x, 3.5 + 0.7 * down + y], dim=1)
        for a, b in itertools.pairwise(points):
            along = ((PIXELS - a) @ (b - a) / (b - a).square().sum()).clamp(0, 1)
            distance = (PIXELS - a - along[:, None] * (b - a)).norm(dim=1)  # from the line between a and b
            image = torch.maximum(image, 1.1 + 0.3 * pen - distance)
    image += 0.08 * torch.randn(64, generator=generator)  # grey spots
    return (16 * image.clamp(0, 1)).round() / 16


PIXELS = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0)).flip(1)
generator = torch.Generator().manual_seed(0)
labels = torch.randint(10, (500,), generator=generator)
images = torch.stack([draw(label, generator) for label in labels.tolist()])

print("images:", tuple(images.shape), "labels:", tuple(labels.shape))

# %% [markdown]
# An image can be printed: the more ink, the darker the character.


# %%
def show(image):
    for row in image.reshape(8, 8):
        print("".join(2 * " .:-=+*#@"[int(pixel * 8)] for pixel in row))


for k in (1, 2, 10):
    print(f"image {k}, label {labels[k].item()}")
    show(images[k])

# %% [markdown]
# The first one is easy. The second is a 3, but its strokes nearly meet at the left, as those of an 8 do. The third is a
# 1 that could be a short 7.
#
# We train on the first 400 images. The other 100 the network never sees while it learns. Only they can tell whether it
# has learned something, or has learned the images by heart. They are called the *test set*.

# %%
train_images, train_labels = images[:400], labels[:400]
test_images, test_labels = images[400:], labels[400:]

# %% [markdown]
# ## The network: ten scores
#
# 64 pixels go in. The hidden layer has 16 units with ReLU. The output layer has 10 units, one for each digit, and each
# gives a *score*. The largest score is the answer. Scores that are not yet probabilities are called *logits*.


# %%
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(64, 16)
        self.relu = nn.ReLU()
        self.output = nn.Linear(16, 10)

    def forward(self, x):
        return self.output(self.relu(self.hidden(x)))


model = Net()
logits = model(train_images[:1])
print([round(score, 3) for score in logits[0].tolist()])

# %% [markdown]
# ## Softmax: from scores to probabilities
#
# A score can be any number. A probability cannot: it lies between 0 and 1, and all ten together make 1.
#
# *Softmax* does this in two steps. First it takes `exp` of each score, so that every number is positive. Then it
# divides each by the sum of all ten.

# %%
scores = logits[0].detach()
powers = torch.exp(scores)
table = pandas.DataFrame({"score": scores, "exp": powers, "probability": powers / powers.sum()})
table.index.name = "digit"
table.round(4)

# %% [markdown]
# The network is new, its weights are random, and its answer is a shrug: every digit gets about 1 in 10.
#
# Softmax looks only at differences. Add 5 to all scores, and nothing changes: each `exp` becomes `exp(5)` times as
# large, and so does their sum. PyTorch uses this. It first subtracts the largest score from all, so that no `exp` can
# become too large for its format.

# %%
print(torch.allclose(torch.softmax(scores, 0), torch.softmax(scores + 5, 0)))

# %% [markdown]
# ## Cross-entropy: the loss
#
# The loss looks at one probability only, that of the right digit. It is minus its logarithm. If the network gives the
# right digit the probability 1, the loss is `-log(1) = 0`. If it gives it 1/10, the loss is `-log(1/10) = 2.3026`. The
# closer to 0 the probability comes, the larger the loss gets, without limit.
#
# This loss is called *cross-entropy*. For a batch, it is the mean over the images.
#
# PyTorch's `cross_entropy` is two functions, one after the other: `log_softmax`, which gives the logarithms of the
# probabilities, and `nll_loss` (*negative log-likelihood*), which picks the right one and negates it. We write the two
# ourselves, so that the numbers in between have a name. The bits are the same:

# %%
log_p = nn.functional.log_softmax(logits, dim=1)
two = nn.functional.nll_loss(log_p, train_labels[:1])
one = nn.functional.cross_entropy(logits, train_labels[:1])
print(two.item(), one.item(), two.item() == one.item())

# %% [markdown]
# ## Training, recorded
#
# 200 steps. Each takes 20 images at random. We keep the first and the last step whole, and the table of all.


# %%
def train(x, label, optimizer):
    logits = model(x)
    log_p = nn.functional.log_softmax(logits, dim=1)
    loss = nn.functional.nll_loss(log_p, label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
with whygrad.record(steps="0,-1") as run:
    for step in range(200):
        chosen = torch.randint(400, (20,))
        train(train_images[chosen], train_labels[chosen], optimizer)

run.table()[["loss"]].iloc[[0, 25, 50, 75, 100, 125, 150, 175, 199]]

# %% [markdown]
# The loss begins near `log(10) = 2.3026`, the loss of a shrug, and falls. It does not fall smoothly: each step sees 20
# other images, and some are harder than others.
#
# How many answers are right? This share is called the *accuracy*.


# %%
def accuracy(x, label):
    return (model(x).argmax(dim=1) == label).float().mean().item()


print(f"train {accuracy(train_images, train_labels):.2f}")
print(f"test  {accuracy(test_images, test_labels):.2f}")

# %% [markdown]
# It is better on the images that it has seen. Part of what it learned is about these 400 images, and not about digits.
# This is called *overfitting*.
#
# Here is the loss of the first step, in the words of whygrad. It is a mean over 20 images; three of the 20 are shown.
# Each is the logarithm of the probability that one right digit got.

# %%
run.why("loss@0", depth=1)

# %% [markdown]
# ## One mistake
#
# Here is a test image that the network gets wrong.

# %%
k = 42
x, label = test_images[k : k + 1], test_labels[k : k + 1]
print("label", label.item(), "answer", model(x).argmax().item())
show(x[0])


# %%
def probabilities(x):
    return torch.softmax(model(x), dim=1)[0].detach()


before = probabilities(x)
pandas.DataFrame({"score": model(x)[0].detach(), "probability": before}).rename_axis("digit").round(4)

# %% [markdown]
# A person sees a 5. The network sees a 9, or else a 3, and thinks a 5 next to impossible: it gives it a probability of
# 0.003.
#
# What would it learn from this image? We record one step of training on it, and on it alone, with a small learning
# rate, 0.02. Before it, we note what the network says to the other images, and keep a copy of the weights, so that we
# can come back.

# %%
answers = model(test_images).argmax(dim=1)
scores = model(x)[0].detach()
fives = model(images)[:, 5].detach()
trained = copy.deepcopy(model.state_dict())

with whygrad.record() as mistake:
    train(x, label, torch.optim.SGD(model.parameters(), lr=0.02))

mistake.why("loss@0", depth=1)

# %% [markdown]
# The loss is large, 5.82, because the logarithm of a small probability is far below zero.
#
# ## What goes back
#
# Now the gradient of the loss with respect to each score. whygrad calls what the model returns `prediction`. So
# `prediction[0,9].grad` tells how the loss changes when the score of the 9 grows.

# %%
mistake.why("prediction[0,9].grad@0", depth=1)

# %% [markdown]
# The equation looks long, and comes down to little. The sum at its end holds one number that is not zero, the −1 of the
# right digit. What is left is `exp(log_p[0,9])`, and that is the probability of the 9. For the right digit, the −1 is
# added:
#
# - the gradient of a wrong digit's score is its probability,
# - the gradient of the right digit's score is its probability minus 1.
#
# Here are all ten, beside the probabilities.

# %%
gradients = [mistake.why(f"prediction[0,{digit}].grad@0", depth=0).value for digit in range(10)]
pandas.DataFrame({"probability": before, "gradient": gradients}).rename_axis("digit").round(4)

# %% [markdown]
# Read this column as a correction. A step goes against the gradient. So the score of the 5 is pulled up, with nearly
# full force. The 9 is pushed down with a little more than half of it, the 3 with more than a quarter, and the 8 with
# about an eighth. Digits that the network did not think of are left alone. The ten gradients add up to zero, or would,
# if nothing were rounded: what the 5 gains, the others pay.

# %%
print(sum(gradients))

# %% [markdown]
# This is why cross-entropy goes so well with softmax. The worse the mistake, the stronger the correction, and it never
# exceeds 1. An answer that is right and sure has gradients near 0 and teaches next to nothing.
#
# ## From the scores to the weights
#
# A weight of the output layer joins one hidden unit to one score. Its gradient is the product of the two: the gradient
# of the score, times the output of the hidden unit.

# %%
mistake.why("output.weight[5,9].grad@0", depth=1)

# %% [markdown]
# So only units that are active in this image learn from it. Where ReLU gave 0, the product is 0.

# %%
hidden = [mistake.why(f"relu.output[0,{unit}]@0", depth=0).value for unit in range(16)]
learned = [mistake.why(f"output.weight[5,{unit}].grad@0", depth=0).value for unit in range(16)]
pandas.DataFrame({"output of the unit": hidden, "gradient of its weight": learned}).rename_axis("unit").round(4)

# %% [markdown]
# ## Did it help?
#
# The step is done. What does the network say now?

# %%
after = probabilities(x)
columns = {"score before": scores, "score after": model(x)[0].detach(), "before": before, "after": after}
pandas.DataFrame(columns).rename_axis("digit").round(4)

# %% [markdown]
# One small step, and the probability of the 5 has gone from 0.003 to 0.2861. The 9 has fallen from 0.5638 to 0.067. One
# more such step would put the 5 first. Now the 3 comes first. Its score was pushed down too, but the score of the 9 fell
# further, and softmax looks only at differences.
#
# And the other images? Nobody asked them. These are the test images that get another answer than before.

# %%
now = model(test_images).argmax(dim=1)
changed = now != answers
pandas.DataFrame({"label": test_labels[changed], "before": answers[changed], "after": now[changed]})

# %%
print(f"train {accuracy(train_images, train_labels):.2f}")
print(f"test  {accuracy(test_images, test_labels):.2f}")

# %% [markdown]
# Ten answers have changed, and seven of them are now 5. For one image that is right: it is a 5. Five images that were
# read right are now read wrong, and the accuracy on the test set falls from 0.83 to 0.79. (One of the ten is our mistake
# itself, which went from 9 to 3.)
#
# Why 5? The step moved weights that all images share. In how many of them has the score of the 5 grown?

# %%
print((model(images)[:, 5] > fives).sum().item(), "of", len(images))

# %% [markdown]
# In all of them. What the network has learned from one 5 is, above all, to say 5 more often.
#
# The optimizer that trained the network had a learning rate of 0.5. We go back to the copy of the weights and take the
# same step with it.

# %%
model.load_state_dict(trained)
train(x, label, torch.optim.SGD(model.parameters(), lr=0.5))
print(f"probability of the 5: {probabilities(x)[5].item():.4f}")
print(f"train {accuracy(train_images, train_labels):.2f}")
print(f"test  {accuracy(test_images, test_labels):.2f}")

# %% [markdown]
# The network is now sure of this image, and has forgotten nearly everything else: of the 100 test images it reads 11
# right. A learning rate that was right for a batch of 20 is far too large for one mistake alone.
#
# In a batch, the loss is a mean. So one mistake among 20 images moves the weights a twentieth as far, and the 19 others
# pull as well. What many images have in common counts most. This is one reason why we train with batches.
#
# (And the test set has lost its innocence: an image that was trained on can no longer test.)
#
# ## Exercises
#
# Each cell below holds an attempt with a fault in it. Run it and read what whygrad says. Then put it right, and run it
# again until it is accepted. The right answer is folded away below the cell.
#
# **1.** The loss of the mistake. Which of the ten log-probabilities is it made of?

# %%
mistake.check("-log_p[0,9]", "loss@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `-log_p[0,5]`
#
# The label decides, not the answer that the network gave. The label is 5.
#
# </details>
#
# **2.** The gradient of the score of the 5, the right digit.

# %%
mistake.check("1 - exp(log_p[0,5])", "prediction[0,5].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `exp(log_p[0,5]) - 1`
#
# `exp(log_p[0,5])` is the probability of the 5, and 1 is subtracted from it. The gradient is negative: a larger score
# of the right digit makes the loss smaller.
#
# </details>
#
# **3.** The gradient of the weight from hidden unit 9 to the score of the 5.

# %%
mistake.check("(exp(log_p[0,5]) - 1) * relu.output[0,5]", "output.weight[5,9].grad@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `(exp(log_p[0,5]) - 1) * relu.output[0,9]`
#
# The weight `[5,9]` is in row 5 and column 9: it joins hidden unit 9 to the score of the 5. So it is the output of unit
# 9, after ReLU, that counts.
#
# </details>
#
# **4.** The bias of the 5 after the step. The learning rate is called `lr`.

# %%
mistake.check("output.bias[5] + lr * output.bias[5].grad", "output.bias[5]@0")

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `output.bias[5] - lr * output.bias[5].grad`
#
# A step goes against the gradient.
#
# </details>
#
# ## What you can do now
#
# - You can read scores as probabilities, and a loss as minus the logarithm of one of them.
# - You know the gradient of softmax with cross-entropy by heart: the probability, minus 1 for the right digit.
# - You can say what a network learns from one image, down to the weight.
#
# **Live:** `whygrad play lesson-5` opens these digits in the browser.
#
# **Next:** [Lesson 6: optimizers](6-optimizers.ipynb). What else can be done with a gradient than to take a step
# against it?
