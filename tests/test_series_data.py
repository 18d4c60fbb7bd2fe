"""Tables to windows: what is read, what is refused, what is masked, what is scaled."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from seq2seq_jax.config import Config, SeriesConfig, TrainingConfig
from seq2seq_jax.data.plan import BatchPlan
from seq2seq_jax.errors import InputError
from seq2seq_jax.series import facts, future, panels, prepare, scaling, tables, times
from seq2seq_jax.series.windows import sizes_of

HOURLY = SeriesConfig(
    targets=("y",), past_steps=6, horizon=3, dev_from="40", test_from="60"
)


def hours(count, begin="2024-03-01T00"):
    every = np.datetime64(begin, "s") + np.arange(count) * 3600
    return [str(time).replace("T", " ") for time in every]


def write_csv(path, header, rows):
    lines = [",".join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table_of(path, count=80, seed=0):
    """One series of an hourly number."""
    values = np.random.default_rng(seed).normal(5, 2, count).round(3)
    rows = zip(hours(count), values, strict=True)
    write_csv(path, ("date", "y"), rows)
    return values


def ignore(line):
    pass


def prepared(config, path, workdir):
    return prepare.prepare(replace(config, table=str(path)), workdir, ignore)


def test_a_window_is_the_steps_before_and_after_in_the_training_s_scale(tmp_path):
    values = table_of(tmp_path / "y.csv")
    config = replace(HOURLY, calendar=("hour",))
    data = prepared(config, tmp_path / "y.csv", tmp_path)
    mean, deviation = values[:40].mean(), values[:40].std()
    scaled = (values - mean) / deviation
    assert data.sizes == sizes_of(config) == (4, 1, 4)
    assert [len(data.train), len(data.dev), len(data.test)] == [32, 18, 18]
    for number in (0, 7, 17):
        row = 40 + number
        batch = data.dev.collate(np.array([number, -1]), 6, 3)
        for step in range(6):
            angle = 2 * np.pi * ((row - 6 + step) % 24) / 24
            expected = [scaled[row - 6 + step], 1, np.sin(angle), np.cos(angle)]
            np.testing.assert_allclose(batch.source[0, step], expected, atol=1e-5)
        for step in range(3):
            angle = 2 * np.pi * ((row + step) % 24) / 24
            heard = [scaled[row + step - 1], 1, np.sin(angle), np.cos(angle)]
            np.testing.assert_allclose(batch.target_in[0, step], heard, atol=1e-5)
            said = batch.target_out[0, step, 0]
            np.testing.assert_allclose(said, scaled[row + step], atol=1e-5)
        assert batch.target_mask.tolist() == [[True] * 3, [False] * 3]
        assert not batch.source[1].any() and not batch.source_mask[1].any()


@pytest.mark.parametrize("centre", ["last", "mean"])
def test_what_a_window_is_centred_by_comes_of_its_past_alone(tmp_path, centre):
    values = table_of(tmp_path / "y.csv")
    plain = prepared(HOURLY, tmp_path / "y.csv", tmp_path / "a").dev
    config = replace(HOURLY, centre=centre)
    found = prepared(config, tmp_path / "y.csv", tmp_path / "b").dev
    scaled = (values - values[:40].mean()) / values[:40].std()
    past = scaled[44 - 6 : 44]
    expected = past[-1] if centre == "last" else past.mean()
    numbers = np.array([4])
    np.testing.assert_allclose(found.centre(numbers), [[expected]], atol=1e-5)
    one, other = (w.collate(numbers, 6, 3) for w in (plain, found))
    for name in ("source", "target_in"):
        moved = getattr(one, name)[..., 0] - expected
        np.testing.assert_allclose(getattr(other, name)[..., 0], moved, atol=1e-5)
    np.testing.assert_allclose(found.truth(numbers), plain.truth(numbers))


def test_missing_values_and_steps_are_masked_and_none_is_made_up(tmp_path):
    table_of(tmp_path / "y.csv")
    lines = (tmp_path / "y.csv").read_text().splitlines()
    lines[46] = lines[46].split(",")[0] + ","  # the value of row 45
    del lines[48 + 1]  # the row 48
    (tmp_path / "y.csv").write_text("\n".join(lines) + "\n")
    config = replace(HOURLY, missing="mask", centre="last")
    data = prepared(config, tmp_path / "y.csv", tmp_path)
    batch = data.dev.collate(np.array([6]), 6, 3)  # 40 to 45, then 46 to 48
    assert batch.source[0, 5].tolist() == [0, 0]
    assert batch.source[0, :5, 1].tolist() == [1] * 5
    assert batch.target_in[0, 0].tolist() == [0, 0]
    assert np.isnan(batch.target_out[0, :, 0]).tolist() == [False, False, True]
    last = data.dev.steps.values[44, 0]
    np.testing.assert_allclose(data.dev.centre(np.array([6])), [[last]])
    np.testing.assert_allclose(data.dev.naive(np.array([6]))[0, :, 0], [last] * 3)


def test_the_naive_forecasts_are_the_textbook_s(tmp_path):
    values = table_of(tmp_path / "y.csv")
    config = replace(HOURLY, season=2)
    data = prepared(config, tmp_path / "y.csv", tmp_path)
    scale = data.facts.scales[""].values
    numbers = np.array([0])
    naive = scale.undo(data.dev.naive(numbers))[0, :, 0]
    np.testing.assert_allclose(naive, [values[39]] * 3, rtol=1e-5)
    seasonal = scale.undo(data.dev.seasonal_naive(numbers))[0, :, 0]
    expected = [values[38], values[39], values[38]]
    np.testing.assert_allclose(seasonal, expected, rtol=1e-5)


def test_scales_are_fitted_on_the_training_part_and_undone():
    values = np.array([[1.0, 7.0], [np.nan, 7.0], [5.0, 7.0]])
    scale = scaling.standard(values)
    assert scale.mean.tolist() == [3.0, 7.0] and scale.deviation.tolist() == [2.0, 1.0]
    np.testing.assert_allclose(scale.undo(scale.apply(values)), values)
    again = scaling.Scale.from_json(scale.to_json())
    np.testing.assert_array_equal(again.mean, scale.mean)


def test_later_values_change_no_scale(tmp_path):
    table_of(tmp_path / "y.csv")
    before = prepared(HOURLY, tmp_path / "y.csv", tmp_path / "a").facts
    lines = (tmp_path / "y.csv").read_text().splitlines()
    lines[41:] = [line.split(",")[0] + ",1000" for line in lines[41:]]
    (tmp_path / "y.csv").write_text("\n".join(lines))
    after = prepared(HOURLY, tmp_path / "y.csv", tmp_path / "b").facts
    assert after.to_json() == before.to_json()


def test_several_series_long_or_wide_are_the_same_windows(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 2)).round(3)
    long = [
        (time, name, values[row, column])
        for row, time in enumerate(hours(80))
        for column, name in enumerate("ab")
    ]
    write_csv(tmp_path / "long.csv", ("date", "shop", "y"), long)
    wide = [(time, *values[row]) for row, time in enumerate(hours(80))]
    write_csv(tmp_path / "wide.csv", ("date", "a", "b"), wide)
    one = prepared(replace(HOURLY, id="shop"), tmp_path / "long.csv", tmp_path / "1")
    config = replace(HOURLY, targets=("a", "b"), wide=True)
    other = prepared(config, tmp_path / "wide.csv", tmp_path / "2")
    assert one.fingerprints == other.fingerprints
    assert one.facts.to_json() == other.facts.to_json()
    assert len(one.train) == 64


def test_batches_hang_on_seed_and_number_alone(tmp_path):
    table_of(tmp_path / "y.csv")
    data = prepared(HOURLY, tmp_path / "y.csv", tmp_path)
    config = Config(training=TrainingConfig(batch_size=8))
    plan = BatchPlan(data.train, config)
    assert plan.shapes == [(8, 6, 3)]
    again = BatchPlan(prepared(HOURLY, tmp_path / "y.csv", tmp_path).train, config)
    for number in (9, 3):
        for name in ("source", "target_in", "target_out"):
            one, other = (getattr(p[number], name) for p in (plan, again))
            np.testing.assert_array_equal(one, other)
    seen = np.concatenate([plan.rows(number)[1] for number in range(len(plan))])
    assert sorted(seen[seen >= 0]) == list(range(32))


def test_another_process_opens_what_was_prepared(tmp_path):
    table_of(tmp_path / "y.csv")
    data = prepared(HOURLY, tmp_path / "y.csv", tmp_path)
    (tmp_path / "y.csv").unlink()
    again = prepare.reopen(HOURLY, tmp_path, data.folders)
    assert again.fingerprints == data.fingerprints
    assert again.facts.to_json() == data.facts.to_json()


def test_parquet_is_read_and_written_as_csv_is(tmp_path):
    pytest.importorskip("pyarrow")
    table_of(tmp_path / "y.csv")
    table = tables.read(tmp_path / "y.csv")
    numbers = table.numbers("y", "series.targets")
    rows = zip(table.columns["date"], map(float, numbers), strict=True)
    tables.write(tmp_path / "y.parquet", ["date", "y"], rows)
    one = prepared(HOURLY, tmp_path / "y.csv", tmp_path / "1")
    other = prepared(HOURLY, tmp_path / "y.parquet", tmp_path / "2")
    assert one.fingerprints == other.fingerprints


@pytest.mark.parametrize(
    ("texts", "step", "season"),
    [
        (["2024-01-01", "2024-02-01", "2024-03-01"], "1 month", 12),
        (["2024-01-01", "2024-01-02"], "1 day", 7),
        (["20240101", "20240108"], "7 days", 52),
        (["2024/01/01 00:00", "2024/01/01 00:30"], "30 minutes", 48),
        (["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"], "1 hour", 24),
        (["1700", "1701"], "1 number", 1),
    ],
)
def test_a_step_is_found_and_its_season(texts, step, season):
    found, dates = times.parse(texts, str)
    one = times.step_of([found], dates)
    assert (str(one), one.season) == (step, season)
    place, left = times.places(found, one)
    assert place.tolist() == list(range(len(texts))) and not left.any()
    assert times.after(int(found[0]), place, one).tolist() == found.tolist()


def test_a_forecast_begins_after_the_last_value(tmp_path):
    table_of(tmp_path / "y.csv")
    data = prepared(HOURLY, tmp_path / "y.csv", tmp_path)
    for after, row in ((None, 80), ("2024-03-02 05:00", 30)):
        path = tmp_path / "y.csv"
        panel, found = future.ahead(data.panel, data.facts, HOURLY, path, after)
        assert found.places.tolist() == [[0, row]]
        assert len(panel.series[0]) == max(80, row + 3)
    assert facts.load(tmp_path).to_json() == data.facts.to_json()


def refused(tmp_path, text, **changes):
    """The line for a table that cannot be used."""
    path = tmp_path / "bad.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        prepared(replace(HOURLY, **changes), path, tmp_path / "run")
    told = str(caught.value)
    assert "\n" not in told
    return told


GOOD = "date,y\n" + "".join(f"{time},1.5\n" for time in hours(80))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("date,y", "date,x", "series.targets is 'y', but"),
        ("date,y", "y,y", "two columns are called 'y'"),
        ("03:00:00,1.5", "03:00:00,", "line 5: y is missing"),
        ("03:00:00,1.5", "03:00:00,NaN", "line 5: y is missing"),
        ("03:00:00,1.5", "03:00:00,inf", "line 5: y is inf, expected a finite number"),
        ("03:00:00,1.5", "03:00:00,1_a", "line 5: y is '1_a', expected a number"),
        ("03:00:00,1.5", "03:00:00,1.5,2", "line 5: 3 values, expected 2"),
        ("2024-03-01 03:00:00", "2024-03-01 02:00:00", "line 5: the time"),
        ("2024-03-01 03:00:00", "2024-03-01 01:00:00", "comes too late"),
        ("2024-03-01 03:00:00", "1 March", "line 5: time '1 March', expected a date"),
        ("2024-03-01 03:00:00,1.5\n", "", "line 5: 1 step of 1 hour missing before it"),
        ("03:00:00,1.5", '03:00:00,"1.5', "line"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_with_its_line(tmp_path, old, new, told):
    found = refused(tmp_path, GOOD.replace(old, new, 1))
    assert told in found and "bad.csv" in found


def test_more_that_cannot_be_used(tmp_path):
    assert "is no CSV file" in refused(tmp_path, b"PK\x03\x04\xff\xfe\x00")
    assert "expected a header" in refused(tmp_path, "")
    assert "a header and no row" in refused(tmp_path, "date,y\n")
    assert "have no value" in refused(tmp_path, "date,y\n2024-01-01,\n")
    assert "train part has 4 rows" in refused(tmp_path, GOOD, dev_from="4")
    assert "parts follow each other" in refused(tmp_path, GOOD, dev_from="70")
    assert "has 80 rows" in refused(tmp_path, GOOD, end="90")
    assert "expected a share" in refused(tmp_path, GOOD, dev_from="soon")
    with pytest.raises(InputError, match="cannot be read"):
        prepared(HOURLY, tmp_path / "none.csv", tmp_path / "run")
    with pytest.raises(InputError, match="expected a table"):
        prepared(HOURLY, tmp_path / "y.xlsx", tmp_path / "run")
    for change, told in (
        ({"targets": ()}, "names no column"),
        ({"known": ("y",)}, "named twice"),
        ({"calendar": ("hours",)}, "did you mean 'hour'"),
        ({"time": None, "calendar": ("hour",)}, "names no column of dates"),
    ):
        with pytest.raises(InputError, match=told):
            prepare.check(replace(HOURLY, table="y.csv", **change))


def test_an_unknown_series_and_an_unknown_future_are_refused(tmp_path):
    rows = [(time, "a", 1.0 + i % 3, i) for i, time in enumerate(hours(80))]
    write_csv(tmp_path / "y.csv", ("date", "id", "y", "k"), rows)
    config = replace(HOURLY, id="id", known=("k",))
    data = prepared(config, tmp_path / "y.csv", tmp_path)
    path = tmp_path / "new.csv"
    with pytest.raises(InputError, match="3 steps too soon"):
        future.ahead(data.panel, data.facts, config, path, None)
    write_csv(path, ("date", "id", "y", "k"), [(t, "b", y, k) for t, _, y, k in rows])
    panel = panels.panel(tables.read(path), config)
    with pytest.raises(InputError, match="'b', which the training had not"):
        data.facts.of(panel, path)


def test_series_load_without_jax():
    code = "import seq2seq_jax.series.tables, sys; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
