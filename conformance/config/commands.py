"""The words of `athena-conformance`: what the command can be asked to do, and which options each of them takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.config.options import OPTIONS, OptionSpec

# What says where settings are read from cannot be read from there.
LINE_ONLY = ("--config", "--env", "--show-config")


@dataclass(frozen=True, slots=True)
class Word:
    """What the command can be asked to do.

    `flags`: of these options. `arguments`: what stands beside them, by name, one ending in ``...`` once or more often;
    `rest`: and any number of others, by one name. `needs_target`: whether it has to be told the target's address.
    `codes`: its exit codes, where they do not mean what they mean of a run.
    """

    name: str
    help: str
    flags: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    rest: str = ""
    needs_target: bool = True
    codes: Mapping[int, str] = field(default_factory=dict)

    @property
    def options(self) -> tuple[OptionSpec, ...]:
        """The options that it takes, in the order of all."""
        return tuple(option for option in OPTIONS if option.name in self.flags)


USAGE = "an option or a file cannot be used"
LOST = "the target cannot be reached, or was lost meanwhile"
# Options of other words than `run`.
OF_SCORE = ("--family", "--sample", "--workers", "--min", "--engine-only")
OF_PROMOTE = ("--output", "--dry-run", "--gaps")
RUNNING = tuple(option.name for option in OPTIONS if option.name not in (*OF_SCORE, *OF_PROMOTE, "--sh"))
# How a target is reached, and as whom.
REACHING = (
    *("--base-url", "--token-env", "--token-command", "--contract", "--timeout", "--rate-limit", "--header"),
    *("--ca-file", "--allow-writes-to", *LINE_ONLY),
)
# As whom else, and with what of theirs.
BESIDE = (
    *("--other-token-env", "--login-env", "--password-env", "--workspace", "--sacrifice", "--ledger"),
    *("--allow-effects", "--max-expensive", "--settle", "--wait-ready"),
)
WORDS = (
    Word("run", "send requests, judge the answers, report", (*RUNNING, "--dry-run")),
    Word(
        "items",
        "the same as pytest's items, law[operation]; what stands behind -- is pytest's: -k, -x, --junitxml ...",
        tuple(flag for flag in RUNNING if flag not in ("--report-dir", "--github", "--min-reached", "--no-engine")),
        rest="pytest",
    ),
    Word(
        "replay",
        "judge one failure of a report (conformance.json) again, from a fresh state: 1 reproduced, 0 not reproduced",
        (*REACHING, *BESIDE, "--sh"),
        ("report", "id"),
        needs_target=False,
        codes={
            0: "not reproduced; with --sh: the script is written",
            1: "reproduced",
            2: USAGE,
            3: LOST,
            5: "it could not be told",
        },
    ),
    Word(
        "traffic",
        "judge recorded traffic (HAR files), with nothing sent",
        ("--base-url", "--contract", "--strict", "--min-reached", "--report-dir", "--github", *LINE_ONLY),
        ("file...",),
        needs_target=False,
    ),
    Word(
        "promote",
        "edit the contract: what is inferred and was kept in a run (its conformance.json) is confirmed",
        ("--contract", *OF_PROMOTE, *LINE_ONLY),
        ("report",),
        needs_target=False,
        codes={0: "what there was to confirm is confirmed", 2: USAGE},
    ),
    Word(
        "clean",
        "take away what a run left behind that was killed: what its ledger tells, and what carries its marker",
        REACHING,
        ("ledger_file",),
        needs_target=False,
        codes={0: "nothing is left", 2: USAGE, 3: LOST, 5: "something is left, or may be, and is named"},
    ),
    Word(
        "score",
        "count the broken servers that the gate catches, and the sound ones that it calls broken",
        ("--contract", "--operation", "--seed", "--report-dir", *OF_SCORE, *LINE_ONLY),
        needs_target=False,
        codes={
            0: "enough broken servers are caught, and no sound one is",
            1: "fewer than --min are, or a sound one is",
            2: USAGE,
        },
    ),
)
