"""The config files for `accelerate launch`, as accelerate itself reads them."""

import shlex
from argparse import Namespace

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from fewshot.resources import shipped

FOLDER = shipped("conf") / "accelerate"
FILES = ["deepspeed_zero3", "fsdp"]


def launched(name: str, *arguments: str) -> Namespace:
    """The settings of `accelerate launch` with a config file."""
    command = ["--config_file", str(FOLDER / f"{name}.yaml"), *arguments, "-m", "fewshot.run"]
    settings, _, _ = _validate_launch_command(launch_command_parser().parse_args(command))
    return settings


def test_there_is_a_file_for_each():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_accelerate_reads_it(name):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert config.mixed_precision == "bf16"
    assert config.num_processes == 2


def test_fsdp_is_of_the_second_kind_and_gathers_whole_weights():
    settings = launched("fsdp")
    assert settings.use_fsdp
    assert int(settings.fsdp_version) == 2
    assert settings.fsdp_auto_wrap_policy == "SIZE_BASED_WRAP"
    assert settings.fsdp_min_num_params == 1_000_000
    assert settings.fsdp_state_dict_type == "FULL_STATE_DICT"


def test_deepspeed_is_stage_three_and_gathers_whole_weights(monkeypatch):
    monkeypatch.setattr("accelerate.commands.launch.is_deepspeed_available", lambda: True)
    settings = launched("deepspeed_zero3")
    assert settings.use_deepspeed
    assert int(settings.zero_stage) == 3
    assert str(settings.zero3_save_16bit_model).lower() == "true"


@pytest.mark.parametrize("name", FILES)
def test_the_number_of_processes_of_the_command_goes_before_that_of_the_file(name):
    assert launched(name, "--num_processes", "4").num_processes == 4


@pytest.mark.parametrize("name", FILES)
def test_the_command_in_its_first_lines_is_for_this_file(name):
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = [line.removeprefix("#").strip() for line in lines[1:3]]
    words = shlex.split(" ".join(line.removesuffix("\\") for line in comment))
    assert words[:4] == ["accelerate", "launch", "--config_file", f"conf/accelerate/{name}.yaml"]
    assert words[6:9] == ["-m", "fewshot.run", "+task=medical_terms"]
