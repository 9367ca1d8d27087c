"""The proving ground's data: the same for the same seed, held-out prompts never among it."""

import itertools

import numpy as np
import pytest
import torch

from benchmarks.models.blocks import Blocks
from benchmarks.models.ground_model import read_prompts
from demo_model.text import WordTokenizer
from training import emoji, moving
from training.latent import pairs
from training.scenes import COLOURS as SCENE_COLOURS
from training.scenes import OBJECTS, PLACES, SIZES, Scene, Thing, vocabulary
from training.unet import trainable


def unet_prompts():
    things = (Thing(*words) for words in itertools.product(OBJECTS, SCENE_COLOURS, SIZES))
    scenes = (Scene((thing,), place) for thing, place in itertools.product(things, PLACES))
    return {scene.prompt() for scene in scenes if trainable(scene)}


def video_prompts():
    every = itertools.product(moving.KINDS, moving.SHADES, moving.GROUNDS, moving.DIRECTIONS)
    return {move.prompt() for move in itertools.starmap(moving.Move, every) if not move.held_out()}


@pytest.mark.parametrize("name, seen", [("unet", unet_prompts), ("video", video_prompts)])
def test_held_out_prompts_are_never_trained_on(name, seen):
    prompts, trained = read_prompts(name), seen()
    assert [len(prompts[kind]) for kind in ("calibration", "held_out")] == [48, 32]
    assert set(prompts["calibration"]) <= trained
    assert not set(prompts["held_out"]) & trained


def test_held_out_pairs_of_emoji_and_background_are_never_trained_on():
    trained, kept = pairs(84)
    assert not set(trained) & set(kept)
    assert len(kept) == 84
    # Every emoji and every background is seen.
    assert {i for i, _ in trained} == set(range(84)) and {j for _, j in trained} == set(range(8))


def test_the_emoji_s_prompts_are_held_out_too():
    prompts = read_prompts("latent")
    assert [len(prompts[kind]) for kind in ("calibration", "held_out")] == [48, 32]
    assert not set(prompts["calibration"]) & set(prompts["held_out"])


@pytest.mark.parametrize("name, words", [("unet", vocabulary()), ("video", moving.vocabulary())])
def test_every_word_of_a_prompt_is_known(name, words):
    tokenizer = WordTokenizer(words)
    for prompt in sum(read_prompts(name).values(), []):
        assert np.count_nonzero(tokenizer.encode(prompt)) == len(prompt.split())


def test_a_seed_draws_the_same_scene():
    move = moving.Move("car", "red", "sea", "left")
    one, again, other = (moving.draw_move(move, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.shape == (9, 48, 48, 3)
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_thing_moves_where_the_prompt_says():
    for direction, (dx, dy) in moving.DIRECTIONS.items():
        move = moving.Move("heart", "red", "sea", direction)
        frames = moving.draw_move(move, np.random.default_rng(0)).astype(int)
        red = (frames[..., 0] > 150) & (frames[..., 1] < 100)
        (y0, x0), (y1, x1) = (np.argwhere(red[i]).mean(0) for i in (0, -1))
        assert (round((x1 - x0) / 19), round((y1 - y0) / 19)) == (dx, dy)


def test_names_of_emoji():
    assert emoji.name_of("1f34e.webp") == "red apple"
    assert emoji.name_of("2764-fe0f.webp") is None  # three words
    assert emoji.name_of("1f468-200d-1f33e.webp") is None  # several code points
    assert emoji.name_of("0023-fe0f-20e3.webp") is None


def test_an_emoji_lies_over_its_background():
    picture = torch.zeros(1, 4, emoji.INNER, emoji.INNER, dtype=torch.uint8)
    picture[:, :, 10, 20] = torch.tensor([255, 0, 0, 255], dtype=torch.uint8)
    shown = emoji.compose(picture, torch.tensor([[0.0, 255.0, 127.5]]), torch.tensor([[1, 3]]))[0]
    assert shown[:, 11, 23].tolist() == [1.0, -1.0, -1.0]
    assert shown[:, 0, 0].tolist() == [-1.0, 1.0, 0.0]


def test_blocks_come_back_as_they_were():
    torch.manual_seed(0)
    videos = torch.randn(4, 3, 2, 8, 8)
    vae = Blocks(24, 2, 2)  # as many numbers as a block has
    vae.fit(videos)
    latent = vae.encode(videos)
    assert latent.shape == (4, 24, 1, 4, 4)
    torch.testing.assert_close(vae.decode(latent), videos, atol=1e-4, rtol=0)
    assert latent.std() == pytest.approx(1.0, abs=1e-3)
