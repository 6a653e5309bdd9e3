"""The deck: what is right loads and survives a round trip, what is wrong is told by its key, nothing else is raised."""

import os
import pickle
import random
import re
import threading
import tomllib
from dataclasses import FrozenInstanceError, replace
from typing import get_type_hints

import pytest
import tomli_w
from mutations import mutate

from parvmc import job, schema
from parvmc.__main__ import command_line
from parvmc.config import dumps, extended, load, loads, resolved
from parvmc.deck import OBSERVABLES, OPTIMIZERS, SAMPLERS, STATES, SYSTEMS, Deck, check_ranks, duration
from parvmc.optimizers import adam, reconfiguration
from parvmc.schema import DeckError
from parvmc.starting import starting_parameters

EXAMPLE = """
title = "Two electrons in a circular quantum dot"
seed  = 20240405

[system]
kind        = "trap"
particles   = 2
dimensions  = 2
omega       = 1.0
interaction = {kind = "coulomb", strength = 1.0}

[[state]]
kind          = "gaussian_rbm"
hidden        = 4
hidden_values = [0, 1]
amplitude     = "sqrt"
sigma         = "trap"
sigma_shared  = false
convention    = "course"
initial       = "random"
train         = ["visible_bias", "hidden_bias", "weights", "sigma"]

[sampler]
kind       = "metropolis"
walkers    = 8192
lanes      = 128
step       = "auto"
equilibration = 500
thinning   = 2

[optimizer]
kind          = "reconfiguration"
method        = "auto"
iterations    = 300
samples       = 8192
learning_rate = 0.05
average       = 0.33

[production]
samples      = 8_388_608
control_variate = "auto"

[output]
checkpoint_interval = "10 min"
"""
SMALLEST = """
system = {kind = "trap", particles = 2, dimensions = 2}
state = [{kind = "gaussian_rbm", hidden = 4}]
"""


def wrong(text=EXAMPLE, *overrides):
    """Return {key: message} of a deck that must be rejected."""
    with pytest.raises(DeckError) as caught:
        loads(text, overrides)
    return dict(caught.value.problems)


# --- decks that work -------------------------------------------------------------------------------------------------


def test_the_example_of_the_documentation_loads():
    deck = loads(EXAMPLE)
    assert deck.seed == 20240405
    assert deck.system.interaction.strength == 1.0
    assert deck.state[0].hidden_values == (0, 1)
    assert deck.optimizer == reconfiguration.Settings(samples=8192)
    assert deck.production.samples == 1024 * deck.sampler.walkers


def test_every_key_has_a_default_but_kinds_and_sizes():
    deck = resolved(loads(SMALLEST))
    assert (deck.title, deck.seed, deck.sampler.kind, deck.optimizer.kind) == ("", 0, "metropolis", "reconfiguration")
    assert deck.optimizer.samples == deck.sampler.walkers
    assert deck.production.samples == 1_048_576
    assert deck.production.max_samples is None
    assert deck.production.equilibration == deck.sampler.equilibration
    assert (deck.state[0].gaussian_factor, deck.state[0].coupling_power) == (2.0, 2.0)
    assert resolved(deck) == deck


def test_a_target_error_has_a_bound_instead_of_a_number_of_samples():
    deck = resolved(loads(SMALLEST, ["production.target_error = 1e-4"]))
    assert deck.production.samples is None
    assert deck.production.max_samples == 64 * 1_048_576


def test_the_default_number_of_samples_suffices_for_any_number_of_walkers():
    deck = resolved(loads(SMALLEST, ["sampler.walkers=1048576"]))
    assert deck.production.samples == 16 * 1_048_576
    assert loads(dumps(deck)) == deck


def test_numbers_become_what_the_field_is():
    deck = loads(EXAMPLE, ["system.omega=2", "state.0.sigma=[1, 1, 2, 2.5]", f"seed={2**64 - 1}"])
    assert isinstance(deck.system.omega, float)
    assert deck.state[0].sigma == (1.0, 1.0, 2.0, 2.5)
    assert deck.seed == 2**64 - 1


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ['title="quotes \\" and \\\\, \\u0001\\u007f, lines\\nand ħω"'],
        ["production={target_error=3e-7, max_samples=1_000_000_000}"],
        ['optimizer={kind="adam", beta1=0.5}', "system.omega=[0.1, 1e-30]", "state.0.sigma=0.3"],
        ['state=[{kind="gaussian_rbm", hidden=0, train=[]}, {kind="gaussian_rbm", hidden=3, convention="lecture"}]'],
    ],
)
def test_the_text_of_a_resolved_deck_is_that_deck(overrides):
    deck = resolved(loads(EXAMPLE, overrides))
    assert loads(dumps(deck)) == deck
    assert dumps(loads(dumps(deck))) == dumps(deck)


def test_the_text_names_every_key_in_the_order_of_the_deck():
    table = tomllib.loads(dumps(loads(SMALLEST)))
    assert list(table) == [
        "title",
        "seed",
        "system",
        "state",
        "sampler",
        "optimizer",
        "pretrain",
        "production",
        "output",
    ]
    assert next(iter(table["optimizer"])) == "kind"
    assert table["optimizer"]["shift"] == 1e-3
    assert table["system"]["interaction"] == {"kind": "none"}
    assert table["production"] == {
        "samples": 1_048_576,
        "control_variate": "auto",
        "equilibration": 500,
        "observables": [],
    }


def test_settings_travel_between_ranks_and_do_not_change():
    deck = loads(EXAMPLE)
    assert pickle.loads(pickle.dumps(deck)) == deck
    with pytest.raises(FrozenInstanceError):
        deck.seed = 1


def test_an_error_travels_between_ranks():
    error = pickle.loads(pickle.dumps(DeckError([("seed", "no")])))
    assert error.problems == [("seed", "no")]
    assert str(error) == "seed: no"


# --- decks that do not -----------------------------------------------------------------------------------------------

WRONG = [
    ("system.omga=1.0", "system.omga", "did you mean omega? Known here: kind, particles"),
    ("sampler.iterations=3", "sampler.iterations", "it belongs to [optimizer]"),
    ("system.hidden=3", "system.hidden", "it belongs to [[state]]"),
    ("output.seed=3", "output.seed", "it belongs to the top of the deck, before the first table"),
    ("optimizer.momentum=0.5", "optimizer.momentum", 'it goes with kind = "momentum"'),
    ('system.interaction={kind="none", strength=1.0}', "system.interaction.strength", 'it goes with kind = "coulomb"'),
    ("optimizer.Learning-Rate=1.0", "optimizer.Learning-Rate", "did you mean learning_rate?"),
    ("zzz=1", "zzz", "no known key is like it. Known here: title, seed"),
    ('"a b" = 1', "'\"a b\"'", "is not a known key"),
    ('optimizer.kind="adan"', "optimizer.kind", 'did you mean "adam"? Known kinds: "adam", "gradient"'),
    ("optimizer.kind=[]", "optimizer.kind", "cannot be []"),
    ("system.kind=true", "system.kind", 'cannot be true; give one of "heisenberg", "ising", "j1j2", "trap"'),
    ("system.interaction=1", "system.interaction", "cannot be 1; give a table [system.interaction]"),
    ('system.interaction="coulom"', "system.interaction.kind", 'did you mean "coulomb"?'),
    ('system=[{kind="trap"}]', "system", "give a table [system]"),
    ('state={kind="gaussian_rbm", hidden=2}', "state", "[[state]], in double brackets"),
    ("state=[]", "state", "[[state]], in double brackets"),
    ("state=[1]", "state.0", "[[state]], in double brackets"),
    ("production=3", "production", "give a table [production]"),
    ("system.particles=0", "system.particles", "a whole number of at least 1 and at most 10000 (number of particles)"),
    ("system.particles=2.0", "system.particles", "cannot be 2.0"),
    ("system.particles=true", "system.particles", "cannot be true"),
    ('system.particles="2"', "system.particles", "cannot be '2'"),
    ("system.particles=9223372036854775808", "system.particles", "64 bits"),
    ("system.particles=0x" + "f" * 5000, "system.particles", "cannot be a huge number"),
    ("system.dimensions=4", "system.dimensions", "at least 1 and at most 3"),
    ("system.omega=nan", "system.omega", "cannot be nan"),
    ("system.omega=1e999", "system.omega", "cannot be inf"),
    ("system.omega=0x" + "f" * 500, "system.omega", "cannot be "),
    ("system.omega=[1.0, inf]", "system.omega", "cannot be [1.0, inf]"),
    ("system.omega=[[1.0]]", "system.omega", "a positive number or a list of one per axis"),
    ("system.omega=1979-05-27", "system.omega", "cannot be 1979-05-27"),
    ("title=1979-05-27T07:32:00", "title", "cannot be 1979-05-27 07:32:00"),
    ("title.text=1", "title", "--set cannot reach"),
    ("system.omega=[1.0, 2.0, 3.0]", "system.omega", "3 values for 2 dimensions"),
    ("system.dimensions=1", "system.interaction", "one dimension"),
    ("state.0.hidden_values=[false, true]", "state.0.hidden_values", "[0, 1] or [-1, 1]"),
    ("state.0.hidden_values=[0.0, 1.0]", "state.0.hidden_values", "[0, 1] or [-1, 1]"),
    ('state.0.train=["sigmas"]', "state.0.train", '"hidden_bias"'),
    ("state.0.sigma=[1.0]", "state.0.sigma", "4 visible units"),
    ('state.0.initial="gone.h5"', "state.0.initial", "no file 'gone.h5'"),
    ("seed=-1", "seed", "of at least 0 and below 18446744073709551616"),
    (f"seed={2**64}", "seed", "below 18446744073709551616"),
    (
        "state.0.hidden=1_000_000_000",
        "state.0.hidden",
        "x 4 weights, and 16777216 are the most; give 4194304",
    ),
    ("sampler.walkers=1000", "sampler.walkers", "the nearest are 896 and 1024"),
    ("sampler.walkers=100", "sampler.walkers", "the nearest is 128"),
    ("optimizer.samples=10000", "optimizer.samples", "the nearest are 8192 and 16384"),
    ("production.target_error=1e-3", "production.samples", "bound such a run with max_samples"),
    ("production.max_samples=1_000_000", "production.max_samples", "goes with target_error only"),
    ("production.samples=131071", "production.samples", "16 steps of 8192 walkers are 131072"),
    ("production={target_error=1e-3, max_samples=9}", "production.max_samples", "16 steps of 8192 walkers are 131072"),
    ('production.control_variate="yes"', "production.control_variate", '"auto" or "off"'),
    ("output.checkpoint_interval=600", "output.checkpoint_interval", "a text in quotes"),
    ('output.checkpoint_interval="often"', "output.checkpoint_interval", 'write "30 s", "10 min"'),
]


@pytest.mark.parametrize(("override", "key", "message"), WRONG, ids=[case[0][:40] for case in WRONG])
def test_what_is_wrong_is_told_by_its_key(override, key, message):
    found = wrong(EXAMPLE, override)
    name = next(name for name in found if name.startswith(key))
    assert message in found[name]


def test_all_that_is_wrong_is_told_at_once():
    found = wrong(EXAMPLE, "system.omega=-1", "state.0.hiden=3", "optimizer.iterations=1.5", "extra=1")
    assert list(found) == ["extra", "system.omega", "state.0.hiden", "optimizer.iterations"]
    with pytest.raises(DeckError, match=r"^2 things are wrong:\n  seed: .*\n  system\.omega: [^\n]*$"):
        loads(EXAMPLE, ["system.omega=-1", "seed=-1"])
    with pytest.raises(DeckError, match=r"and 80 more$"):
        loads(EXAMPLE, [f"x{number}=1" for number in range(100)])


def test_a_kind_alone_is_a_table_with_nothing_else():
    short = loads(EXAMPLE, ['system.interaction="none"', 'sampler="metropolis"'])
    assert short == loads(EXAMPLE, ['system.interaction={kind="none"}', 'sampler={kind="metropolis"}'])


BARE = 'system = {{kind="trap", particles={0}, dimensions={1}, interaction={2}}}\nstate = [{3}]'
MACHINE, GAUSSIAN = '{kind="gaussian_rbm", hidden=2}', '{kind="gaussian"}'


@pytest.mark.parametrize(
    ("particles", "dimensions", "interaction", "factors", "key", "message"),
    [
        (2, 1, '"coulomb"', MACHINE, "system.interaction", "in one dimension has no finite energy"),
        (2, 1, '{kind="yukawa", screening=1.0}', MACHINE, "system.interaction", "use soft_coulomb"),
        (2, 3, '{kind="hard_sphere", diameter=0.1}', GAUSSIAN, "system.interaction", "hard_core_jastrow"),
        (
            2,
            3,
            '{kind="hard_sphere", diameter=0.1}',
            f'{GAUSSIAN}, {{kind="hard_core_jastrow", diameter=0.05}}',
            "system.interaction",
            "of diameter 0.1 need a trial state that is zero wherever they overlap",
        ),
        (2, 2, '"coulomb"', f'{GAUSSIAN}, {{kind="hard_core_jastrow"}}', "state.1.diameter", "no hard spheres"),
        (2, 2, '"coulomb"', '{kind="pade_jastrow"}', "state", "no norm; add one of kind gaussian or gaussian_rbm"),
        (2, 2, '"none"', f'{GAUSSIAN}, {{kind="pade_jastrow"}}', "state.1.kind", "this interaction has none"),
        (
            2,
            1,
            '{kind="soft_coulomb", softening=0.2}',
            f'{GAUSSIAN}, {{kind="linear_jastrow"}}',
            "state.1.kind",
            "delta function that no sample finds",
        ),
        (2, 1, '"none"', f'{GAUSSIAN}, {{kind="pair_rbm", hidden=1}}', "state.1.kind", "has a kink"),
        (2, 2, '"coulomb"', f'{GAUSSIAN}, {{kind="pade_jastrow", spin_up=3}}', "state.1.spin_up", "3 of 2 particles"),
        (2, 2, '"none"', '{kind="gaussian", beta=2.0}', "state.0.beta", "belongs to the z axis"),
        (2, 2, '{kind="soft_coulomb"}', MACHINE, "system.interaction.softening", "is missing"),
    ],
)
def test_pairs_that_cannot_work_are_refused(particles, dimensions, interaction, factors, key, message):
    found = wrong(BARE.format(particles, dimensions, interaction, factors))
    assert found.keys() == {key}
    assert message in found[key]


def test_defaults_that_depend_on_the_system_are_filled_in():
    text = 'system = {kind="trap", particles=2, dimensions=3, omega=[1.0, 1.0, 2.0], interaction={kind="hard_sphere", '
    deck = resolved(loads(text + f'diameter=0.1}}}}\nstate = [{GAUSSIAN}, {{kind="hard_core_jastrow"}}]'))
    assert (deck.state[0].alpha, deck.state[0].beta, deck.state[1].diameter) == (0.5, 2.0, 0.1)
    assert loads(dumps(deck)) == deck


def test_what_is_missing_is_told():
    known = 'give a table [system] with kind = "heisenberg", "ising", "j1j2" or "trap"'
    assert known in wrong("")["system"]
    assert "double brackets" in wrong("")["state"]
    assert wrong("system = {}\nstate = [{}]").keys() == {"system.kind", "state.0.kind"}
    found = wrong('system = {kind = "trap"}\nstate = [{kind = "gaussian_rbm"}]')
    assert found.keys() == {"system.particles", "system.dimensions", "state.0.hidden"}
    assert found["state.0.hidden"] == "is missing; give a whole number of at least 0 (number of hidden units)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[system\n", "line 1, column 8"),
        ("a = 1\na = 2\n", "line 2"),
        ("x = " + "[" * 5000, "nested"),
        ("x = " + "9" * 5000, "digits"),
    ],
)
def test_a_text_that_is_not_toml_is_told(text, message):
    assert message in wrong(text)["deck"]


def test_deep_and_long_junk_is_rejected_quickly():
    deep = "title" + ".a" * 90 + " = 1\n" + SMALLEST
    assert wrong(deep).keys() == {"title"}
    for key in ("title" + ".a" * 20_000, "title" + " . 'b.c' . \"d\"" * 60):
        assert wrong(f"{key} = 1\n" + SMALLEST).keys() == {"deck"}
        assert wrong(f"[{key}]\n" + SMALLEST).keys() == {"deck"}
    assert loads(f'title = "{"1.5 a, " * 200}"' + SMALLEST).title.startswith("1.5 a")
    long = f'{"k" * 100_000} = "{"v" * 100_000}"\n' + SMALLEST
    ((key, message),) = wrong(long).items()
    assert len(key) < 100
    assert len(message) < 300


def test_a_hundred_thousand_mistakes_are_counted_and_twenty_explained(monkeypatch):
    """A hint for each of them took minutes."""
    asked = []
    monkeypatch.setattr(schema, "nearest", lambda *arguments: asked.append(arguments))
    found = wrong("".join(f"key_{number} = 1\n" for number in range(100_000)))
    assert len(found) == 100_002
    assert len(asked) <= 2 * schema.LISTED
    assert "no known key is like it" in found["key_19"]
    assert found["key_20"] == "is wrong too"


def test_a_deck_is_read_once_and_not_without_end(tmp_path):
    """A pipe can be read once; a device may never end, and a large file is no deck."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=pipe.write_text, args=(SMALLEST,), daemon=True)
    thread.start()
    options = command_line().parse_args([str(pipe)])
    assert job.read_deck(options) == (resolved(loads(SMALLEST)), SMALLEST)
    thread.join()
    with pytest.raises(DeckError, match="/dev/zero: cannot be read: it has more than 1 MB; a deck is a TOML file"):
        load("/dev/zero")


def test_numbers_that_overflow_together_are_told():
    """Each of them is right by itself."""
    powers = ["state.0.sigma=0.7", "state.0.coupling_power=1e9"], ["state.0.beta=1e-300", "state.0.coupling_power=8"]
    for overrides in (["state.0.sigma=1e-300"], ["state.0.sigma=1e300"], ["system.omega=1e300"], *powers):
        with pytest.raises(DeckError, match=r"^state(\.0)?: has numbers so large or so small"):
            starting_parameters(resolved(loads(EXAMPLE, overrides)))
    starting_parameters(resolved(loads(EXAMPLE, ["state.0.sigma=1e-3", "system.omega=1e6"])))


def test_files_that_cannot_be_read_are_told(tmp_path):
    good, binary = tmp_path / "two_electrons.toml", tmp_path / "binary.toml"
    good.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())
    binary.write_bytes(b'title = "\xff"')
    assert load(good) == loads(SMALLEST)
    cases = [
        (tmp_path / "two_electron.toml", f"No such file or directory; did you mean {good}?"),
        (tmp_path / "none" / "x.toml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (binary, "byte 9 is not UTF-8"),
    ]
    for path, message in cases:
        with pytest.raises(DeckError) as caught:
            load(path)
        assert caught.value.problems[0][0] == str(path)
        assert message in str(caught.value)


def test_a_result_file_to_start_from_is_looked_for_here_and_beside_the_deck(tmp_path, monkeypatch):
    decks, here = tmp_path / "decks", tmp_path / "here"
    for folder in (decks, here):
        folder.mkdir()
    monkeypatch.chdir(here)
    deck = decks / "deck.toml"
    deck.write_text(SMALLEST.replace("hidden = 4", 'hidden = 4, initial = "coarse.h5"'))
    with pytest.raises(DeckError, match=r"state\.0\.initial"):
        load(deck)
    assert load(deck, strict=False).state[0].initial == "coarse.h5"
    for folder in (decks, here):
        (folder / "coarse.h5").touch()
        assert load(deck).state[0].initial == str(folder / "coarse.h5")
    assert loads(dumps(load(deck))) == resolved(load(deck))


# --- overrides -------------------------------------------------------------------------------------------------------


def test_overrides_replace_entries_and_create_tables():
    deck = loads(SMALLEST, ["state.0.hidden=8", ' optimizer.kind = "adam" ', "optimizer.iterations=20", "seed=7"])
    assert deck.state[0].hidden == 8
    assert deck.seed == 7
    assert deck.optimizer == adam.Settings(iterations=20)
    assert loads(SMALLEST, ['system.interaction.kind="coulomb"']).system.interaction.kind == "coulomb"
    assert loads(EXAMPLE, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    "override", ["seed", "=1", "a..b=1", "seed=", "seed=1\nx=2", "seed=1\n[system]", "x=" + "[" * 5000]
)
def test_an_override_that_cannot_be_read_is_told(override):
    ((key, message),) = wrong(SMALLEST, override).items()
    assert key.startswith("--set ")
    assert "KEY=VALUE" in message


def test_a_bare_word_is_told_to_take_quotes():
    ((_, message),) = wrong(SMALLEST, "system.kind=trap").items()
    assert message.endswith("""--set 'system.kind="trap"'""")


@pytest.mark.parametrize(
    "override", ["state.1.hidden=8", "state.-1.hidden=8", "state.hidden=8", "state.1={}", "seed.0=1"]
)
def test_an_override_that_leads_nowhere_is_told(override):
    assert list(wrong(SMALLEST, override)) == [override.split(".")[0]]


# --- ranks, extensions, durations ------------------------------------------------------------------------------------


def test_more_ranks_than_batches_are_told_what_to_change():
    deck = loads(EXAMPLE)
    check_ranks(deck, 64)
    with pytest.raises(DeckError, match=r"start at most 64, or raise sampler.walkers to 12800, or lower .* to 64$"):
        check_ranks(deck, 100)
    with pytest.raises(DeckError, match=r"start at most 64, or raise sampler.walkers to 640000$"):
        check_ranks(deck, 5000)
    check_ranks(loads(EXAMPLE, ["sampler.lanes=64"]), 100)


def test_a_resumed_run_may_be_extended_and_nothing_else():
    old = loads(EXAMPLE)
    free = ['title="x"', "optimizer.iterations=400", "production.samples=9_000_000", 'output.checkpoint_interval="1 h"']
    assert extended(old, loads(EXAMPLE, free)) == []
    assert extended(resolved(old), old) == []
    until = loads(EXAMPLE, ["production={target_error=1e-3}"])
    assert extended(old, until) == []
    assert extended(until, old) == []
    assert extended(until, loads(EXAMPLE, ["production={target_error=1e-5, max_samples=1_000_000_000}"])) == []
    assert extended(until, loads(EXAMPLE, ["production={target_error=1e-5, max_samples=1_000_000}"])) == [
        "production.max_samples"
    ]
    less = ["optimizer.iterations=200", "production.samples=8_000_000", "seed=1", "state.0.hidden=5", "system.omega=2"]
    assert extended(old, loads(EXAMPLE, less)) == [
        "seed",
        "system.omega",
        "state.0.hidden",
        "optimizer.iterations",
        "production.samples",
    ]
    assert extended(old, loads(EXAMPLE, ['optimizer={kind="adam"}'])) == ["optimizer.kind"]
    assert extended(old, replace(old, state=old.state * 2)) == ["state"]
    assert extended(old, loads(EXAMPLE, ["system.omega=[1.0, 2.0]"])) == ["system.omega"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30 s", 30),
        ("10 min", 600),
        ("1 h", 3600),
        ("1 h 30 min", 5400),
        ("1h30min", 5400),
        ("1.5 hours", 5400),
        ("2 Days 1 second", 172801),
        ("90", 90),
        ("0.5", 0.5),
        ("10:00", 600),
        ("90:00", 5400),
        ("1:30:00", 5400),
        ("48:00:01", 172801),
        ("2-12", 216000),
        ("2-12:30", 217800),
        ("2-12:30:01", 217801),
    ],
)
def test_a_duration_is_in_seconds(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1e3", "nan", "inf", "1:2:3:4", "1:60:00", "1 h 30", "h", "10 fortnights", "٣ s"]
)
def test_what_is_no_duration_is_told(text):
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)


# --- any deck at all -------------------------------------------------------------------------------------------------


def outcome(text):
    """Return (deck, None) or (None, DeckError) of a text; anything else that is raised fails the test."""
    try:
        return loads(text), None
    except DeckError as error:
        return None, error


def test_any_deck_loads_or_is_rejected_and_nothing_else():
    chance, accepted = random.Random(2024), 0
    for _ in range(600):
        table = tomllib.loads(EXAMPLE)
        for _ in range(chance.randint(1, 4)):
            mutate(table, chance)
        deck, error = outcome(tomli_w.dumps(table))
        if error:
            assert all(key and message for key, message in error.problems)
            assert 0 < len(max(str(error).split("\n"), key=len)) < 1000
        else:
            accepted += 1
            assert loads(dumps(deck)) == resolved(deck)
    assert 20 < accepted < 400


def test_any_broken_text_loads_or_is_rejected_and_nothing_else():
    chance = random.Random(7)
    for _ in range(300):
        text = list(EXAMPLE)
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 3)] = chance.choice(
                ['"', "[", "]", "=", "\n", "\0", ".", "e9", "ß", "'''", "#"]
            )
        deck, error = outcome("".join(text))
        assert isinstance(deck, Deck) or str(error)


def test_every_component_of_the_deck_has_words_for_every_key():
    for known in (SYSTEMS, STATES, SAMPLERS, OPTIMIZERS, OBSERVABLES):
        for kind, component in known.items():
            assert re.fullmatch("[a-z0-9_]+", kind)
            assert component.__doc__
            for name, annotation in get_type_hints(component, include_extras=True).items():
                assert name == "kind" or any(hasattr(note, "documentation") for note in annotation.__metadata__), name
