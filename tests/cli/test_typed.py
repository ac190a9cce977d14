"""What is typed, made ready for Hydra."""

import pytest

from fewshot.cli.compose import CONF
from fewshot.cli.typed import NoTask, config_folders, normalise_arguments
from fewshot.errors import ConfigError
from tests.conftest import CONF as TEST_CONF


def test_the_commands_under_the_list_of_tasks_can_be_typed():
    with pytest.raises(NoTask) as listing:
        normalise_arguments([])

    commands = [line.split("fewshot.run ")[1] for line in str(listing.value).splitlines() if "fewshot.run +" in line]
    assert len(commands) == 2
    for typed in commands:
        assert normalise_arguments(typed.split())


@pytest.mark.parametrize("typed", ["task=medical_terms", "+task=medical_terms", "++task=medical_terms"])
def test_a_task_may_be_written_with_or_without_plus(typed):
    assert normalise_arguments([typed, "shots=1"]) == ["+task=medical_terms", "shots=1"]


@pytest.mark.parametrize("typed", ["task=", "~task", "task.path=/data"])
def test_what_names_no_task_is_no_task(typed):
    with pytest.raises(NoTask):
        normalise_arguments([typed])


@pytest.mark.parametrize("flag", [["--cfg", "job"], ["-c", "job"], ["--info"], ["--hydra-help"]])
def test_flags_that_need_no_task_pass(flag):
    assert normalise_arguments(flag) == flag


def test_flags_may_stand_anywhere():
    typed = ["task=folder", "-m", "shots=1,5", "--config-dir", str(TEST_CONF), "encoder=fake"]

    assert normalise_arguments(typed) == [
        *("+task=folder", "shots=1,5", "encoder=fake"),
        *("-m", "--config-dir", str(TEST_CONF)),
    ]


@pytest.mark.parametrize("form", ["--config-dir {}", "--config-dir={}", "-cd {}"])
def test_a_config_dir_is_found(form):
    assert config_folders([*form.format(TEST_CONF).split(), "task=folder"]) == [CONF, TEST_CONF]
    with pytest.raises(ConfigError, match="does not exist"):
        config_folders(form.format("/no/such/folder").split())


@pytest.mark.parametrize(
    "override",
    [
        "hydra/launcher=joblib",
        "hydra.run.dir=/tmp/a",
        "encoder_training@quick_training=episodic",
        "learner=glob(*)",
        "learner=centroid,ridge",
        "++training.steps=3",
        "+task.revision=main",
        "~training.steps",
        "shots=range(1,5)",
    ],
)
def test_what_hydra_understands_passes_untouched(override):
    assert override in normalise_arguments(["task=folder", override])


def test_a_setting_of_a_group_need_not_stand_in_its_yaml():
    assert normalise_arguments(["task=folder", "task.path=/data"]) == ["+task=folder", "++task.path=/data"]


def test_a_list_of_tasks_is_a_collection_of_known_tasks_and_files():
    assert normalise_arguments(["task=[medical_terms, /data/my mails.csv]", "task.tasks.my_mails.min_texts=3"]) == [
        "+task=collection",
        "+task@task.tasks.medical_terms=medical_terms",
        "+task@task.tasks.my_mails=folder",
        "++task.tasks.my_mails.path='/data/my mails.csv'",
        "++task.tasks.my_mails.min_texts=3",
    ]


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r"Got 'mails' twice in task=\[a/mails\.csv,b/mails\.csv\]"):
        normalise_arguments(["task=[a/mails.csv,b/mails.csv]"])
