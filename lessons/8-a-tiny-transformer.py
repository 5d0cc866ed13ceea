# %% [markdown]
# # Lesson 8: a tiny transformer
#
# Language models are *transformers*. The part that made them famous is *attention*: each place in a text looks at the
# places before it, and decides how much of each it takes.
#
# We build the smallest one that does something, let it learn, and explain one attention weight: how it is computed,
# what it does, and how its gradient made it what it is.
#
# You need lessons 1 to 6. From lesson 5 you know softmax, from lesson 6 Adam.

# %%
import math

import pandas
import torch
from torch import nn

import whygrad

torch.manual_seed(0)
torch.set_num_threads(1)

# %% [markdown]
# ## The task: say the letter before
#
# A text is six letters, each one of `a` to `e`, drawn at random. At each place the network has to say which letter
# stood one place before. (At the first place there is none. There it shall repeat the letter itself.)
#
# No letter tells anything about the one before it. So a guess is right once in five times. To do better, the network
# has to look back.

# %%
LETTERS = "abcde"
LENGTH = 6


def batch(size):
    text = torch.randint(len(LETTERS), (size, LENGTH))
    answer = torch.cat([text[:, :1], text[:, :-1]], dim=1)
    return text, answer


def spell(numbers):
    return " ".join(LETTERS[number] for number in numbers)


text, answer = batch(2)
for k in range(2):
    print("text  ", spell(text[k]))
    print("answer", spell(answer[k]))

# %% [markdown]
# ## From letters to vectors
#
# A network computes with numbers, not letters. An *embedding* is a table with a row for each letter. The row, here of
# eight numbers, is a *vector* that stands for the letter. The numbers are weights like any other: they start at random
# and are learned.
#
# A second table has a row for each place, so that the network can tell the first letter from the fourth. The two rows
# are added.
#
# ## Attention
#
# Each place makes three vectors out of its own, by three linear layers:
#
# - the *query*: what am I looking for?
# - the *key*: what do I have to offer?
# - the *value*: what do I give to those who look at me?
#
# The query of one place, times the key of another, number by number and summed up, is a *score*: how well do the two
# fit? The score is divided by the square root of the vectors' length, here √4 = 2, so that it does not grow with the
# length.
#
# No place may look at the places after it. Their scores are set to −∞. This is the *mask*.
#
# Softmax then makes the scores of a place into its *attention weights*: positive numbers that make 1 together. With
# these weights the values are mixed.


# %%
class Scores(nn.Module):
    def forward(self, query, key):
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        later = torch.ones(LENGTH, LENGTH).triu(1).bool()
        return scores.masked_fill(later, -math.inf)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(8, 4, bias=False)
        self.key = nn.Linear(8, 4, bias=False)
        self.value = nn.Linear(8, 8, bias=False)
        self.scores = Scores()
        self.weights = nn.Softmax(dim=-1)

    def forward(self, x):
        scores = self.scores(self.query(x), self.key(x))
        return self.weights(scores) @ self.value(x)


# %% [markdown]
# (Weights, again? Yes: an *attention weight* is not a parameter. It is computed anew for each text. What is learned are
# the weights of the layers that compute it.)
#
# ## The transformer
#
# What attention found is added to the vector of the place. Such a detour that is added to the straight way is called a
# *residual connection*. Then comes *layer normalization*, which brings the eight numbers to mean 0 and variance 1. A
# last linear layer gives five scores, one for each letter.
#
# A real transformer repeats such blocks many times, has several attentions side by side, and after each of them a small
# network like that of lesson 4.


# %%
class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), 8)
        self.place = nn.Embedding(LENGTH, 8)
        self.attention = Attention()
        self.norm = nn.LayerNorm(8)
        self.output = nn.Linear(8, len(LETTERS))

    def forward(self, text):
        x = self.letter(text) + self.place(torch.arange(LENGTH))
        return self.output(self.norm(x + self.attention(x)))


model = Transformer()
print(sum(parameter.numel() for parameter in model.parameters()), "parameters")

# %% [markdown]
# ## Training, recorded
#
# 200 steps of Adam with 16 texts each. The loss is the cross-entropy of lesson 5, the mean over all places of all
# texts. We keep the steps 0, 30 and the last whole.

# %%
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)

with whygrad.record(steps="0,30,-1") as run:
    for step in range(200):
        text, answer = batch(16)
        logits = model(text)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), answer.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

run.table()[["loss"]].iloc[[0, 20, 40, 60, 100, 199]]

# %% [markdown]
# A guess among five letters has the loss `log(5) = 1.609`. Our network is far below that. Does it get new texts right?

# %%
text, answer = batch(1000)
right = (model(text).argmax(dim=-1) == answer).float().mean().item()
print(f"{right:.4f} of the answers are right")

# %% [markdown]
# ## The attention weights
#
# Here are those of the first text in the last step. A row is a place that looks, a column a place that is looked at.


# %%
def weights(step):
    rows = [[run.why(f"attention.weights.output[0,{i},{j}]@{step}", depth=0).value for j in range(6)] for i in range(6)]
    return pandas.DataFrame(rows).rename_axis("place", axis=0).rename_axis("looks at", axis=1)


weights(199).round(3)

# %% [markdown]
# Read it row by row. From place 2 on, each place looks at the one before it, with a weight of nearly 1. Place 0 can
# only look at itself. And place 1 looks at place 0. Nobody told the network to do this. Above the diagonal, everything
# is 0: the mask.
#
#  Before the training the same picture was this (another text, but no matter):

# %%
weights(0).round(3)

# %% [markdown]
# There is no order in it, apart from the mask. The weights are what random queries and keys give.
#
#  ## One attention weight explained
#
# We take place 3, which looks at place 2, in the last step.

# %%
run.why("attention.weights.output[0,3,2]@199", depth=1)

# %% [markdown]
# It is softmax, as in lesson 5. The score for place 2 is 6.56, the next best is that for place 1, −1.48. Between the
# two lie `6.561 − (−1.480) = 8.041`, and `exp` makes a factor of about 3100 out of that. So nearly all of the weight
# goes to place 2.
#
#  Why is that score so large? Ask on.

# %%
run.why("attention.scores.output[0,3,2]@199", depth=3)

# %% [markdown]
# The mask let it through. It was divided by 2. And before that, it is the product of the query of place 3 and the key
# of place 2: four products, summed up. Two of them make most of it, `-1.7339342 · -2.9323528 = 5.0845` and `-2.387108 ·
# -2.644475 = 6.3126`. In these two numbers, query and key have the same sign. They fit.
#
#  And the query, where does it come from? It is a linear layer, as in lesson 1. Its input is the vector of place 3, the
# letter's row plus the place's row. Its weights are what 200 updates of Adam have made of them.

# %%
run.why("attention.query.output[0,3,0]@199", depth=1)

# %% [markdown]
# ## What the weight does
#
# With these weights the values are mixed. Here is one of the eight numbers that place 3 receives.

# %%
run.why("attention.output[0,3,1]@199", depth=1)

# %% [markdown]
# Nearly all of it is the value of place 2, −3.147. The other places add next to nothing. So this is how a letter
# travels from one place to the next: as the value of a place that another one looks at.
#
#  ## How it was learned
#
# In the first step, place 3 does not know where to look. What does the gradient say? Here are its attention weights in
# the first text, the gradient of the loss with respect to them, and with respect to the scores.


# %%
def place_3(step):
    rows = {
        place: {
            "weight": run.why(f"attention.weights.output[0,3,{place}]@{step}", depth=0).value,
            "gradient of the weight": run.why(f"attention.weights.output[0,3,{place}].grad@{step}", depth=0).value,
            "gradient of the score": run.why(f"attention.scores.output[0,3,{place}].grad@{step}", depth=0).value,
        }
        for place in range(4)
    }
    return pandas.DataFrame(rows).T.rename_axis("looks at")


place_3(0).round(5)

# %% [markdown]
# A step goes against the gradient. The score of place 2 has a positive gradient, so this step makes it smaller! That is
# no error. In step 0 the values are as random as everything else, so looking at the right place does not help yet. And
# this is one text of 16.
#
# Step 30 looks different.

# %%
place_3(30).round(5)

# %% [markdown]
# Now the gradient of place 2's score is negative: more of it would make the loss smaller. The gradient of place 1 has
# the other sign: less of it. This is where the network learns where to look. Here is the number itself:

# %%
run.why("attention.scores.output[0,3,2].grad@30", depth=1)

# %% [markdown]
# The equation is that of softmax, backwards. In the brackets stands the gradient of one attention weight, minus the
# mean of all of them, weighted with the attention weights themselves. So what counts is not whether more of place 2
# would help, but whether it would help more than what place 3 looks at now.
#
# One text decides little. In how many of the 16 texts does the gradient ask place 3 for more of place 2?

# %%
for step in (0, 30):
    asked = [run.why(f"attention.scores.output[{k},3,2].grad@{step}", depth=0).value < 0 for k in range(16)]
    print(f"step {step}: {sum(asked)} of 16")

# %% [markdown]
# In step 0 they do not agree, and their gradients cancel each other. In step 30 nearly all of them do. That is how a
# habit is learned: it is what many examples have in common.
#
# Here is the gradient of one weight of the key's layer in step 30. whygrad says which texts it came from, and that
# hardly anything cancels: the texts agree.

# %%
run.why("attention.key.weight[3,6].grad@30", depth=0)

# %% [markdown]
# ## Exercises
#
# Each cell holds an attempt with a fault in it. Run it, read what whygrad says, put it right, run it again. The right
# answer is folded away below the cell.
#
# Names may be short: `query` is read as `attention.query.output`, and a name without a step is of the step that is
# asked.
#
# **1.** The score of place 3 for place 2.

# %%
run.check(
    "query[0,3,0]·key[0,2,0] + query[0,3,1]·key[0,2,1] + query[0,3,2]·key[0,2,2] + query[0,3,3]·key[0,2,3]",
    "attention.scores.output[0,3,2]@199",
)

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `(query[0,3,0]·key[0,2,0] + query[0,3,1]·key[0,2,1] + query[0,3,2]·key[0,2,2] + query[0,3,3]·key[0,2,3]) / √4`
#
# Divided by the square root of 4, the length of the vectors.
#
# </details>
#
# **2.** The attention weight of place 1 for place 0. Place 1 may look at two places only, 0 and 1.

# %%
run.check(
    "exp(scores[0,1,1]) / (exp(scores[0,1,0]) + exp(scores[0,1,1]))",
    "attention.weights.output[0,1,0]@0",
)

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `exp(scores[0,1,0]) / (exp(scores[0,1,0]) + exp(scores[0,1,1]))`
#
# Above the line stands the score of the place that is asked for, 0.
#
# </details>
#
# **3.** What place 1 receives: number 5 of its eight.

# %%
run.check(
    "weights[0,1,0]·value[0,0,5] + weights[0,1,1]·value[0,0,5]",
    "attention.output[0,1,5]@0",
)

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `weights[0,1,0]·value[0,0,5] + weights[0,1,1]·value[0,1,5]`
#
# Each attention weight goes with the value of the place that it looks at.
#
# </details>
#
# **4.** The gradient of a score, through softmax. The gradients of the two attention weights of place 1 are called
# `weights[0,1,0].grad` and `weights[0,1,1].grad`.

# %%
run.check(
    "weights[0,1,0] · weights[0,1,0].grad",
    "attention.scores.output[0,1,0].grad@0",
)

# %% [markdown]
# <details><summary>A right answer</summary>
#
# `weights[0,1,0] · (weights[0,1,0].grad - (weights[0,1,0]·weights[0,1,0].grad + weights[0,1,1]·weights[0,1,1].grad))`
#
# Inside the brackets, the mean of the two gradients is subtracted, weighted with the attention weights.
#
# </details>
#
# ## What you can do now
#
# - You can read a table of attention weights, and say of each number where it comes from.
# - You know what query, key, value, mask and residual connection are, and can compute each by hand.
# - You can take a program of your own: `whygrad run train.py`, and then ask it.
#
# **Live:** `whygrad play lesson-8` opens this transformer in the browser.
#
# **Next:** this was the last lesson. [What a verdict means](../docs/verdicts.md) tells what stands behind the ✓ in all
# these answers. Lesson 1 is [one neuron](1-one-neuron.ipynb), if you came here first.
