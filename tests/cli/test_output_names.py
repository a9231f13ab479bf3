"""The name of the output: an unknown suffix, a folder, a link; and what a conversion wrote."""

import gzip
import json
import lzma
from pathlib import Path

import pytest
from commands import IDS, Command, ids_in

from instantly_async.cli.amounts import size_text
from instantly_async.testing import FakeInstantly, lead_ids, lead_json

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

PLAIN = ".jsonl, .ndjson, .csv or .parquet, plus .gz, .bz2, .xz or .zst to compress it"
XZ = ".jsonl.xz, .ndjson.xz or .csv.xz"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("leads.json", f"{PLAIN} (the nearest is .jsonl)"),
        ("leads.CVS", f"{PLAIN} (the nearest is .csv)"),
        ("leads", PLAIN),
        ("leads.xlsx", PLAIN),
        (".jsonl.d", PLAIN),
        ("leads.xz", XZ),
        ("leads.json.xz", f"{XZ} (the nearest is .jsonl.xz)"),
        ("leads.xlsx.xz", XZ),
        (".xz", XZ),
    ],
)
def test_an_unknown_suffix_is_refused(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    tmp_path: Path,
    name: str,
    remedy: str,
    fake_instantly: FakeInstantly,
) -> None:
    """By each command that writes leads, before any request; ``--format`` is the other remedy."""
    output = tmp_path / name
    sentence = f"The name {output} does not show the format; end it with {remedy}"
    expected = (2, b"", f"{sentence}, or use --format.\n")
    assert command("fetch", ids_file, "-o", output) == expected
    assert command("fetch", ids_file, "-o", output, "--dry-run") == expected
    assert command("convert", ids_file, output) == expected
    assert command("demo", "--count", "1", "-o", output) == (2, b"", f"{sentence}.\n")
    assert not fake_instantly.requests
    assert command("fetch", ids_file, "-o", output, "--format", "jsonl", "--quiet").code == 0
    data = output.read_bytes()
    assert len((lzma.decompress(data) if "xz" in remedy[:9] else data).splitlines()) == len(IDS)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.json.zip", "cannot be written as .zip; end it with {} (the nearest is .jsonl.gz)"),
        ("a.CSV.LZ4", "cannot be written as .lz4; end it with {} (the nearest is .csv.gz)"),
        ("a.7z", "cannot be written as .7z; end it with {}"),
        ("a.parquet.zip", "cannot be written as .zip; end it with {}"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--format", "jsonl")])
def test_a_compression_that_cannot_be_written_is_refused(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    name: str,
    sentence: str,
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With ``--format`` too: the file would not be what its name says."""
    monkeypatch.chdir(ids_file.parent)
    result = command("fetch", ids_file, "-o", name, *options)
    assert result == (2, b"", f"{name} {sentence.format('.gz, .bz2, .xz or .zst')}.\n")


@pytest.mark.parametrize(("name", "better"), [("a.parquet.gz", "a.parquet"), ("a.zst", "a")])
def test_parquet_is_not_compressed_twice(
    command: Command, ids_file: Path, name: str, better: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ids_file.parent)
    end = name.removeprefix(better)
    sentence = (
        f"Parquet is compressed inside, so its name does not end with {end}; name it {better}"
    )
    result = command("fetch", ids_file, "-o", name, "--format", "parquet")
    assert result == (2, b"", f"{sentence}.\n")


def test_demo_writes_what_the_name_says(command: Command, tmp_path: Path) -> None:
    output = tmp_path / "leads.csv"
    assert command("demo", "--count", "3", "-o", output, "--quiet") == (0, b"", "")
    assert output.read_bytes().startswith(b"id,timestamp_created,")
    assert len(command("demo", "--count", "3", "-o", "-").found) == 3
    output = tmp_path / "leads.ndjson.gz"
    assert command("demo", "--count", "3", "-o", output, "--quiet") == (0, b"", "")
    assert ids_in(gzip.decompress(output.read_bytes())) == list(lead_ids(3))


@pytest.mark.parametrize("options", [(), ("--resume",), ("--format", "csv"), ("--dry-run",)])
def test_a_folder_is_refused_as_a_folder(
    command: Command, ids_file: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    for output in (str(tmp_path), f"{tmp_path}/new/"):
        result = command("fetch", ids_file, "-o", output, *options)
        assert result == (2, b"", f"{output} is a folder; name a file in it.\n")


@pytest.mark.parametrize("name", ["link.jsonl", "link.csv"])
@pytest.mark.parametrize("options", [(), ("--resume",), ("--dry-run",)])
@pytest.mark.parametrize("target", ["leads.jsonl", "nowhere"])
def test_a_link_is_refused_at_once(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    target: str,
) -> None:
    """It does not say first that ``--resume`` would help."""
    (tmp_path / "leads.jsonl").write_bytes(lead_json(IDS[0]) + b"\n")
    link = tmp_path / name
    link.symlink_to(tmp_path / target)
    result = command("fetch", ids_file, "-o", link, *options)
    assert result == (2, b"", f"{link} is a symbolic link; name the file that it points to.\n")


# --- what was written -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 1200])
def test_convert_says_what_it_wrote(command: Command, tmp_path: Path, count: int) -> None:
    leads, output = tmp_path / "leads.jsonl", tmp_path / "leads.csv"
    leads.write_bytes(b'{"id":"x"}\n' * count)
    shown = {0: "0 leads", 1: "1 lead", 1200: "1,200 leads"}[count]
    size = {0: "4 bytes", 1: "7 bytes", 1200: "3.6 kB"}[count]
    result = command("convert", leads, output, "--fields", "id")
    assert result == (0, b"", f"Wrote {shown} to {output} ({size}).\n")
    assert command("convert", leads, output, "--force", "--quiet") == (0, b"", "")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**9, "5.0 GB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_a_size_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["+1 (202) 555-0125", "-5", "+49-30-1", "ada"], ""),
        (["=1", "+1 (202) 555-0125"], "1 cell begins like a formula, so a ' is in front of it; "),
        (["=1", "@a", "+A1", "-"], "4 cells begin like formulas, so a ' is in front of them; "),
    ],
)
def test_guarded_cells_are_counted(
    command: Command, tmp_path: Path, cells: list[str], sentence: str
) -> None:
    leads, output = tmp_path / "leads.jsonl", tmp_path / "leads.csv"
    lines = [json.dumps({"id": IDS[0], "phone": cell}) for cell in cells]
    leads.write_text("".join(f"{line}\n" for line in lines))
    result = command("convert", leads, output)
    assert result.err.startswith(f"{sentence}--csv-raw leaves it out.\n" if sentence else "Wrote ")
    raw = command("convert", leads, output, "--csv-raw", "--force")
    assert raw.err.startswith("Wrote ")
