"""Series from a table to a forecast: trained, stopped, resumed, measured, refused."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from command_line import refusal, succeed
from test_series_data import hours, write_csv
from tiny_runs import assert_same_end, at_step, train

from seq2seq_jax.config import Config, ModelConfig, SeriesConfig, TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import checks, warm

TINY = Config(
    series=SeriesConfig(targets=("y",), past_steps=8, horizon=4, calendar=("hour",)),
    model=ModelConfig(
        frontend="features",
        head="gaussian",
        cell="gru",
        hidden_size=8,
        embedding_size=4,
        dropout=0.1,
    ),
    training=TrainingConfig(
        steps=12,
        batch_size=16,
        warmup_steps=2,
        learning_rate=1e-2,
        eval_every=6,
        log_every=3,
        save_every=3,
        eval_examples=20,
        metric="mse",
        scheduled_sampling=0.5,
        prefetch=2,
    ),
)


def of_days(folder):
    """A table of days that are alike, and the config of a training on it."""
    day = np.arange(200) % 24
    noise = np.random.default_rng(0).normal(0, 0.1, 200)
    values = (20 + 5 * np.sin(2 * np.pi * day / 24) + noise).round(3)
    table = write_csv(
        folder / "y.csv", ("date", "y"), zip(hours(200), values, strict=True)
    )
    return table, replace(TINY, series=replace(TINY.series, table=str(table)))


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """A table, the config of a training on it, and its workdir."""
    folder = tmp_path_factory.mktemp("series")
    table, config = of_days(folder)
    report, _ = train(config, folder / "run")
    return table, config, folder / "run", report


def test_a_signal_and_the_same_command_equal_no_signal(run_of, tmp_path, monkeypatch):
    _, config, whole, expected = run_of
    at_step(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(config, tmp_path / "run")[0].exit_code == 75
    report, lines = train(config, tmp_path / "run")
    assert "resumed at step 7" in lines
    assert_same_end(tmp_path / "run", whole, 12)
    assert report.metrics == expected.metrics


def test_every_report_has_the_naive_forecasts_beside_the_model_s(run_of):
    _, _, workdir, report = run_of
    columns = ["dev", "dev, naive", "dev, seasonal naive"]
    columns += [name.replace("dev", "test") for name in columns]
    assert list(report.metrics) == columns
    for values in report.metrics.values():
        assert {"mse", "mae", "rmse_units", "mae_units"} <= values.keys()
    assert "coverage" in report.metrics["test"]
    assert (workdir / "forecast.png").stat().st_size > 5000


def test_a_forecast_is_written_in_units_with_its_band_and_drawn(run_of, tmp_path):
    table, _, workdir, _ = run_of
    asked = "forecast", "--workdir", workdir, "-i", table
    out = succeed(*asked, "--plot", tmp_path / "f.svg").splitlines()
    assert out[0] == "date,y,y_low,y_high" and len(out) == 5
    assert out[1].startswith("2024-03-09 08:00:00,")
    for line in out[1:]:
        point, low, high = map(float, line.split(",")[1:])
        assert low < point < high and 10 < point < 30
    assert (tmp_path / "f.svg").exists()
    pytest.importorskip("pyarrow")
    succeed(*asked, "-o", tmp_path / "f.parquet", "--after", "2024-03-05 00:00")
    from seq2seq_jax.series import tables

    found = tables.read(tmp_path / "f.parquet")
    assert found.columns["date"][0] == "2024-03-05 01:00:00"
    assert len(found) == 4


def test_a_backtest_says_what_the_training_s_report_does(run_of, tmp_path):
    table, _, workdir, report = run_of
    asked = "backtest", "--workdir", workdir, "-i", table
    found = json.loads(succeed(*asked, "--json", "-o", tmp_path / "all.csv"))
    for name, split in (
        ("model", "test"),
        ("naive", "test, naive"),
        ("seasonal naive", "test, seasonal naive"),
    ):
        for metric, value in found[name].items():
            assert value == pytest.approx(report.metrics[split][metric], rel=1e-3)
    assert found["windows"] == 37
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[0] == "after,date,y,y_low,y_high" and len(lines) == 1 + 37 * 4


def test_what_cannot_be_used_is_one_line(run_of, tmp_path):
    table, _, workdir, _ = run_of
    lines = table.read_text().splitlines()
    bad = tmp_path / "bad.csv"
    asked = "forecast", "--workdir", workdir, "-i", bad
    for text, told in (
        ([*lines[:50], lines[20], *lines[50:]], "bad.csv, line 51: the time"),
        (["date,z", *lines[1:]], "no such column, it has date, z"),
        ([*lines[:50], "2024-03-03 01:00:00,NaN", *lines[51:]], "line 51: y is miss"),
        (lines[:6], "5 steps up to the forecast, too few for one window"),
    ):
        bad.write_text("\n".join(text) + "\n")
        assert told in refusal(*asked)
    assert "expected a table" in refusal(*asked[:-1], tmp_path)
    before = table.read_bytes()
    for command in ("forecast", "backtest"):
        asked = command, "--workdir", workdir, "-i", table
        assert "also the input" in refusal(*asked, "-o", table)
        assert "folder does not exist" in refusal(*asked, "-o", tmp_path / "no/y.csv")
    assert table.read_bytes() == before
    bad.write_text("\n".join(lines[:20]) + "\n")
    short = refusal("backtest", "--workdir", workdir, "-i", bad, "--begin", "30")
    assert "the --begin to --end part has 0 rows" in short
    assert "use `seq2seq-jax forecast`" in refusal(
        "translate", "--workdir", workdir, stdin="a"
    )


def test_settings_of_another_kind_of_data_are_refused():
    given = replace(TINY, series=replace(TINY.series, table="y.csv"))
    data = replace(given.data, lowercase=True)
    text = replace(given, series=SeriesConfig())
    for config, told in (
        (replace(given, data=data), "data.lowercase is True, but the data is series"),
        (replace(given, model=ModelConfig()), "series need model.frontend features"),
        (text, "says numbers, but the targets are texts"),
        (
            replace(text, model=ModelConfig(), series=SeriesConfig(wide=True)),
            "series.w",
        ),
        (
            replace(given, training=replace(given.training, metric="bleu")),
            "expected one of",
        ),
        (
            replace(given, training=replace(given.training, label_smoothing=0.2)),
            "label_smoothing is 0.2, but model.head 'gaussian' says numbers",
        ),
    ):
        with pytest.raises(InputError, match=told):
            checks.check(config)


def test_a_training_starts_from_the_weights_of_another(run_of, tmp_path):
    """On another table, with scales of its own; columns that differ are told."""
    table, config, workdir, _ = run_of
    other = tmp_path / "z.csv"
    other.write_text(table.read_text().replace("date,y", "date,z"))
    series = replace(config.series, table=str(other), targets=("z",))
    training = replace(config.training, init_from=str(workdir), learning_rate=1e-12)
    config = replace(config, series=series, training=training)
    report, lines = train(config, tmp_path / "run")
    found = [line.split(": ", 1)[1] for line in lines if "init_from" in line]
    assert "the parameters of checkpoint" in found[0] and "arrays as they" in found[0]
    assert "other settings: series.targets: ('y',) -> ('z',)" in found[1]
    expected = json.loads((workdir / "results.json").read_text())["metrics"]
    for split in ("dev", "test"):
        assert report.metrics[split]["mse"] == pytest.approx(
            expected[split]["mse"], rel=1e-4
        )
    wide = replace(config.series, calendar=("hour", "weekday"))
    with pytest.raises(InputError, match=r"does not fit this model: source\.kernel"):
        train(replace(config, series=wide), tmp_path / "wide")
    text = replace(
        Config(), training=replace(Config().training, init_from=str(workdir))
    )
    with pytest.raises(InputError, match="holds a model of series, but this training"):
        warm.check_workdir(text)
