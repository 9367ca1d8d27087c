"""Everything one does with the checkout, each in an environment of its own making.

    pip install nox
    nox -s demo      the whole method in a real ComfyUI: pictures and a table in demo_output/
    nox -s tests     all tests (the default); arguments after -- go to pytest
    nox -l           the other sessions

The sessions that need torch share one environment, `.nox/host-X.Y`. A session installs only when
what it needs has changed, so that later runs start at once and need no network.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"
nox.options.default_venv_backend = "virtualenv"

ROOT = Path(__file__).absolute().parent

# Exactly these: a looser specifier lets pip leave a CPU build of the same version for a newer,
# far larger CUDA build. pip's own settings (an extra index, find-links) choose another build of
# these versions; nothing here does. Both have builds for Python 3.10 to 3.13 on Linux, Windows and
# Apple silicon; for Intel Macs torch has had none since 2.2.
TORCH = ["torch==2.13.0", "torchvision==0.28.0"]
HOST_EXTRAS = ["torchsde", "requests"]
TEST_TOOLS = ["gguf", "hypothesis", "mypy==2.4.1", "playwright", "pytest", "pytest-timeout"]
# Drivers of the storages that workers share; a user who wants one installs it.
STORAGE_DRIVERS = ["grpcio", "protobuf", "psycopg2-binary"]
RUFF = "ruff==0.17.6"
# They judge the form of .github/, which nothing here can run. The newest that take Python 3.10.
FORMS = ["check-jsonschema==0.38.2", "zizmor==1.30.1"]
JUDGES = ["comfy-cli==1.23.0", "comfy-test==0.4.15", "nodesafe==0.6.0"]

FRONT_END = "comfyui-frontend-package"
# Where front ends have differed: how long nodes live, how large they are, what a run tells them.
PAGE_TESTS = [f"tests/web/test_{name}.py" for name in ("lifetime", "layout", "results")]

# nodesafe takes the name of the LPIPS authors' own package for a misspelt "pip". Everything else
# that it finds, of any severity, fails the session.
KNOWN_FINDINGS = {("typosquatting", "lpips")}


def _fresh(folder: Path, requirements: list[str]) -> bool:
    """Tell whether an environment already has just these requirements."""
    stamp = folder / "otcache-installed"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _digest(requirements)


def _mark(folder: Path, requirements: list[str]) -> None:
    (folder / "otcache-installed").write_text(_digest(requirements), encoding="utf-8")


def _digest(requirements: list[str]) -> str:
    return hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()


def _install(session: nox.Session, *requirements: str) -> None:
    """Install into the session's own environment, once."""
    folder = Path(session.virtualenv.location)
    if not _fresh(folder, list(requirements)):
        session.install(*requirements)
        _mark(folder, list(requirements))


def _host_requirements(host: Path) -> list[str]:
    """Return what ComfyUI in `host` and the pack need, less torch and its kin (pinned above)."""
    lines = []
    for source in (host / "requirements.txt", ROOT / "requirements.txt"):
        for line in source.read_text(encoding="utf-8").splitlines():
            requirement = line.partition("#")[0].strip()
            if requirement and not requirement.startswith("torch"):
                lines.append(requirement)
    return [*TORCH, *HOST_EXTRAS, *lines, *TEST_TOOLS, *STORAGE_DRIVERS]


def _host_environment(session: nox.Session) -> tuple[str, dict[str, str]]:
    """Make the shared environment; return its Python and the variables that name the host."""
    folder = ROOT / ".nox" / "host-{}.{}".format(*sys.version_info)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if not Path(python).exists():  # also when the Python that it was made from is gone
        shutil.rmtree(folder, ignore_errors=True)
        session.run(sys.executable, "-m", "virtualenv", str(folder), external=True, silent=True)
    found = session.run(python, "-m", "scripts.host.find", external=True, silent=True)
    host = Path(str(found).strip().splitlines()[-1])
    requirements = _host_requirements(host)
    if not _fresh(folder, requirements):
        pip = [python, "-m", "pip", "install"]
        session.run(*pip, *TORCH, external=True)
        session.run(*pip, *requirements, external=True)
        _mark(folder, requirements)
    session.run(python, "-m", "scripts.host.lpips_trunk", external=True)
    # Threads that wait asleep: on a busy machine, spinning ones can slow torch a hundredfold.
    return python, {"COMFYUI_PATH": str(host), "OMP_WAIT_POLICY": "PASSIVE"}


def _run_with_host(session: nox.Session, *command: str) -> None:
    """Run the shared environment's Python with the arguments after `--`."""
    python, variables = _host_environment(session)
    session.run(python, *command, *session.posargs, env=variables, external=True)


@nox.session(python=False)
def demo(session: nox.Session) -> None:
    """Run the bundled workflow in a real ComfyUI; leave pictures and a table."""
    _run_with_host(session, "-m", "scripts.demo.run")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after -- go to pytest."""
    _run_with_host(session, "-m", "pytest")


@nox.session(python=False)
def page(session: nox.Session) -> None:
    """Run tests of the page on the newest front end that pip finds; pytest's arguments go after --.

    The ComfyUI stays the one of the other tests: its own front end is the oldest that is tried.
    """
    python, variables = _host_environment(session)
    folder = ROOT / ".nox" / "front-end"
    pip = (python, "-m", "pip", "install", "--quiet", "--upgrade", "--no-deps", "--target")
    session.run(*pip, str(folder), FRONT_END, external=True, success_codes=[0, 1])
    static = folder / FRONT_END.replace("-", "_") / "static"
    if not static.is_dir():
        session.skip(f"{FRONT_END} could not be downloaded")
    session.run(python, "-m", "pip", "list", "--path", str(folder), external=True)
    variables["OTCACHE_FRONT_END"] = str(static)
    command = (python, "-m", "pytest", *(session.posargs or PAGE_TESTS))
    session.run(*command, env=variables, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code's style and form, and the form of what GitHub reads."""
    _install(session, RUFF, *FORMS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    templates = sorted(Path(".github", "ISSUE_TEMPLATE").glob("*.yml"))
    for schema, files in {
        "github-workflows": sorted(Path(".github", "workflows").glob("*.yml")),
        "github-issue-forms": [path for path in templates if path.name != "config.yml"],
        "github-issue-config": [path for path in templates if path.name == "config.yml"],
        "dependabot": [Path(".github", "dependabot.yml")],
    }.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files))
    session.run("zizmor", "--offline", "--quiet", ".github")


@nox.session
def judges(session: nox.Session) -> None:
    """Pack what is published; let the registry's checks and outside linters judge it; try it."""
    _install(session, *JUDGES)
    python, host = _host_environment(session)
    variables = {"DO_NOT_TRACK": "1", "PYTHONUTF8": "1"}
    comfy = ("comfy", "--skip-prompt", "node")
    archive = ROOT / "node.zip"  # comfy-cli gives no choice of the name
    session.run(*comfy, "pack", env=variables, silent=True)
    package = Path(session.create_tmp()) / "package"
    shutil.rmtree(package, ignore_errors=True)
    shutil.unpack_archive(archive, package)
    archive.unlink()
    session.run(python, "-m", "scripts.release.contents", str(package), external=True)
    trial = (python, "-m", "scripts.release.trial", str(package))
    session.run(*trial, env=host, external=True)
    session.chdir(package)
    verdict = str(session.run(*comfy, "validate", env=variables, silent=True))
    if "All validation checks passed" not in verdict:  # it ends with status 0 on warnings, too
        session.error(verdict)
    session.run("comfy-test", "lint", ".", "--strict", env=variables)
    scan = ("nodesafe", "scan", ".", "--format", "json", "--fail-on", "none")
    report = json.loads(str(session.run(*scan, env=variables, silent=True)))
    refused = [f for f in report["findings"] if (f["category"], f["snippet"]) not in KNOWN_FINDINGS]
    if refused:
        session.error(json.dumps(refused, indent=1))
    session.log(f"nodesafe: nothing but {len(report['findings'])} known findings {KNOWN_FINDINGS}")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check the types of the core, strictly."""
    python, _ = _host_environment(session)
    session.run(python, "-m", "mypy", *session.posargs, external=True)


@nox.session(python=False)
def serve(session: nox.Session) -> None:
    """Start a ComfyUI with the pack and leave it running; its files stay in .serve/."""
    python, variables = _host_environment(session)
    # Time to end the server on Ctrl-C before nox ends us.
    patience = {"interrupt_timeout": 20.0, "terminate_timeout": 20.0}
    session.run(
        *(python, "-m", "scripts.host.server", *session.posargs),
        env=variables,
        external=True,
        **patience,
    )


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Run a benchmark by its name: nox -s bench -- fidelity."""
    _run_with_host(session, "-m", "benchmarks")


@nox.session(python=False)
def train(session: nox.Session) -> None:
    """Train the demo model anew."""
    _run_with_host(session, "-m", "training.train")
