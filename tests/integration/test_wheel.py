"""The wheel, installed into an empty environment, is a whole platform in any folder."""

import json
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.process import ANY_PORTS, Launch

ROOT = Path(__file__).parents[2]
SMALL = (*ANY_PORTS, "world.creators=3", "world.history_days=2")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that has the wheel, and sees our libraries by their folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source, environment = folder / "source", folder / "venv"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "var", "var-*", "build", "*.egg-info", "__pycache__", "tests")
    )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # without isolation: nothing is fetched
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    venv.create(environment, with_pip=False, symlinks=True)
    (wheel,) = folder.glob("gcc_platform-*.whl")
    python = environment / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    (libraries,) = environment.glob("lib/python*/site-packages")
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files are not read
    shutil.rmtree(source)
    return environment / "bin" / "gcc-platform"


async def said(installed: Path, folder: Path, *words: str) -> tuple[int, str, str]:
    with trio.fail_after(120):
        done = await trio.run_process(
            [installed, *words], capture_stdout=True, capture_stderr=True, check=False, cwd=folder
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def speaks_of_what_runs(installed: Path, folder: Path) -> None:
    """Verbs that are told the folder alone know the config and the overrides of who runs there."""
    flow = "refresh_yt_profiles"
    assert (await said(installed, folder, "concurrency", flow, "30", "--why", "a test", "--data", "var"))[0] == 0
    code, out, told = await said(installed, folder, "flows", "--data", "var")
    first, *lines = out.splitlines()
    assert code == 0, told
    assert first.startswith("as it runs, by ") and first.endswith(
        "embedded.toml, " + ", ".join(sorted(f"--set {setting.partition('=')[0]}" for setting in SMALL))
    )
    assert f"{flow}  YOUTUBE  public  30 at once" in lines
    assert "    sources  ytapi (9 per 0.1 s)" in lines
    _, out, told = await said(installed, folder, "doctor", "--json", "--data", "var")
    found = {check["name"]: check["found"] for check in json.loads(out)["checks"]}
    assert "embedded.toml, --set gateway.port" in found["config"], told
    code, out, _ = await said(installed, folder, "flows", "--data", "elsewhere")
    assert out.startswith(f"nothing runs on {folder / 'elsewhere'}; as a start would, by the defaults\n")


def test_it_carries_every_file_of_the_package(installed: Path) -> None:
    """Of a page that lacks one of its modules nothing is shown."""
    (carried,) = installed.parents[1].glob("lib/python*/site-packages/gcc")
    files = {path.relative_to(ROOT) for path in (ROOT / "gcc").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert not {file for file in files if not (carried.parent / file).is_file()}


async def test_it_runs_from_any_folder_and_checks_well(installed: Path, tmp_path: Path) -> None:
    overrides = [word for setting in SMALL for word in ("--set", setting)]
    options = ["--config", "embedded", "--data", "var", *overrides]
    process = await trio.lowlevel.open_process(
        [installed, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        async with AsyncExitStack() as clients:
            platform = await Launch(process, tmp_path / "var", Path("/dev/null"), clients).ready()

            async def crawled(status: dict[str, dict[str, int]]) -> bool:
                return status["jobs"].get("COMPLETE") == 2 * 3

            await platform.until(crawled, "the first crawl")
            await speaks_of_what_runs(installed, tmp_path)
            assert await platform.stop(signal.SIGTERM) == 0
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True), trio.move_on_after(30):
            await process.wait()
        assert process.stdout is not None
        await process.stdout.aclose()
    code, out, told = await said(installed, tmp_path, "check", "--json", *options)
    assert (code, json.loads(out.splitlines()[-1])["missing"]) == (0, 0), told
    assert not (tmp_path / "sql").exists()


async def test_it_says_what_it_is_and_completes_itself(installed: Path, tmp_path: Path) -> None:
    assert await said(installed, tmp_path, "--version") == (0, "gcc-platform 0.1.0\n", "")
    code, helped, _ = await said(installed, tmp_path, "--help")
    assert (code, helped.split()[:2]) == (0, ["usage:", "gcc-platform"])
    for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
        code, script, _ = await said(installed, tmp_path, "completions", shell)
        assert code == 0
        assert "import-history" in script
        if shutil.which(check[0]):
            (tmp_path / shell).write_text(script)
            await trio.run_process([*check, tmp_path / shell])
    code, out, told = await said(installed, tmp_path, "doctor", "--json", "--data", "new")
    checks = {check["name"]: check["state"] for check in json.loads(out)["checks"]}
    assert checks["libraries"] == "ok", told


async def test_a_config_that_comes_with_it_is_known_by_name_or_path(installed: Path, tmp_path: Path) -> None:
    for name in ("embedded", "config/embedded.toml"):
        assert (await said(installed, tmp_path, "flows", "--config", name))[0] == 0
    code, _, told = await said(installed, tmp_path, "flows", "--config", "nosuch")
    assert code == 2
    assert "there is no file 'nosuch' here, and none of embedded, real, services is called so" in told
