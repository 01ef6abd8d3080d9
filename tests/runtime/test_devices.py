"""Devices and streams as programs name them, on a machine whose accelerator the tests do not count on."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import mlx.core as mx
from mlx.runtime import devices


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(devices, "gpu_is_available", lambda: False)
    before = devices._process_default.device
    devices._process_default.device = None
    yield
    devices._process_default.device = before


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(devices, "gpu_is_available", lambda: True)
    before = devices._process_default.device
    devices._process_default.device = None
    yield
    devices._process_default.device = before
    mx.clear_streams()


def test_devices_compare_by_type_and_index() -> None:
    assert mx.Device(mx.cpu) == mx.Device(mx.cpu, 0) == mx.cpu
    assert mx.cpu == mx.Device(mx.cpu)
    assert mx.Device(mx.cpu, 1) != mx.Device(mx.cpu)
    assert mx.Device(mx.cpu, 1) != mx.cpu
    assert mx.Device(mx.cpu) != mx.Device(mx.gpu)
    assert mx.cpu != mx.gpu
    assert len({mx.Device(mx.cpu), mx.Device(mx.cpu, 0), mx.Device(mx.gpu)}) == 2
    assert mx.Device(mx.gpu).type is mx.gpu


def test_texts() -> None:
    assert repr(mx.Device(mx.gpu, 2)) == "Device(gpu, 2)"
    assert repr(mx.cpu) == "DeviceType.cpu"
    assert repr(mx.default_stream(mx.cpu)) == "Stream(Device(cpu, 0), 0)"


@pytest.mark.usefixtures("no_accelerator")
def test_without_an_accelerator() -> None:
    assert mx.default_device() == mx.cpu
    assert mx.is_available(mx.cpu)
    assert not mx.is_available(mx.gpu)
    assert not mx.is_available(mx.Device(mx.cpu, 1))
    assert (mx.device_count(mx.cpu), mx.device_count(mx.gpu)) == (1, 0)
    assert mx.device_info(mx.gpu) == {}
    assert mx.device_info() == mx.device_info(mx.cpu)
    assert set(mx.device_info()) == {"device_name", "architecture"}
    assert all(mx.device_info().values())
    for call in (mx.set_default_device, mx.default_stream, mx.new_stream, mx.new_thread_local_stream):
        with pytest.raises(ValueError, match=r"^\[\w+\] Cannot .* without gpu backend: .* extra cuda13"):
            call(mx.gpu)
    mx.set_default_device(mx.cpu)
    with pytest.raises(ValueError, match="without gpu backend"), mx.stream(mx.gpu):
        pass
    assert mx.default_device() == mx.cpu


@pytest.mark.usefixtures("accelerator")
def test_with_an_accelerator() -> None:
    assert mx.default_device() == mx.gpu
    with mx.stream(mx.cpu):
        assert mx.default_device() == mx.cpu
        with mx.stream(mx.gpu):
            assert mx.default_device() == mx.gpu
        assert mx.default_device() == mx.cpu
    assert mx.default_device() == mx.gpu
    mx.set_default_device(mx.cpu)
    assert mx.default_device() == mx.cpu


def test_is_available_answers_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    devices.gpu_is_available.cache_clear()
    monkeypatch.setenv("JAX_PLATFORMS", "cpu,cuda")
    assert not mx.cuda.is_available()
    devices.gpu_is_available.cache_clear()


def test_streams() -> None:
    first, second = mx.new_stream(mx.cpu), mx.new_stream(mx.cpu)
    assert first != second
    assert first == first
    assert first.device == mx.cpu
    assert first != mx.default_stream(mx.cpu)
    with mx.stream(first):
        assert mx.default_stream(mx.cpu) == first
        with mx.stream(second):
            assert mx.default_stream(mx.cpu) == second
        with pytest.raises(KeyError), mx.stream(second):
            {}["missing"]
        assert mx.default_stream(mx.cpu) == first
    assert mx.default_stream(mx.cpu) != first
    mx.set_default_stream(second)
    assert mx.default_stream(mx.cpu) == second
    mx.clear_streams()
    assert mx.default_stream(mx.cpu) != second
    mx.synchronize()
    mx.synchronize(first)


def in_another_thread(function: Any) -> Any:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


def test_streams_belong_to_threads() -> None:
    mine, everyones, unsafe = (
        mx.new_stream(mx.cpu),
        mx.new_thread_local_stream(mx.cpu),
        mx.new_thread_unsafe_stream(mx.cpu),
    )
    error = in_another_thread(lambda: mx.set_default_stream(mine))
    assert isinstance(error, RuntimeError)
    assert "mx.new_thread_local_stream" in str(error)
    for stream in (everyones, unsafe):
        assert in_another_thread(lambda stream=stream: mx.set_default_stream(stream)) is None
    # The default of another thread is its own.
    assert mx.default_stream(mx.cpu) not in (everyones, unsafe)


def test_device_types() -> None:
    assert [kind.name for kind in mx.DeviceType] == ["cpu", "gpu"]
    assert mx.DeviceType(0) is mx.DeviceType["cpu"] is mx.cpu
    assert mx.DeviceType(1) is mx.gpu
    assert len(mx.DeviceType) == 2
    assert pickle.loads(pickle.dumps([mx.gpu, mx.Device(mx.cpu)])) == [mx.gpu, mx.Device(mx.cpu)]


def test_arguments_of_streams_and_counts() -> None:
    for wrong in (None, "cpu", mx.cpu, mx.Device(mx.cpu), 1):
        with pytest.raises(TypeError, match=r"\[set_default_stream\] Expected a stream"):
            mx.set_default_stream(wrong)  # type: ignore[arg-type]
    for wrong in (None, "cpu", mx.Device(mx.cpu), 1):
        with pytest.raises(TypeError, match=r"\[device_count\] Expected mx\.cpu or mx\.gpu"):
            mx.device_count(wrong)  # type: ignore[arg-type]
    for wrong in (1.5, None, "0"):
        with pytest.raises(TypeError, match=r"\[Device\] index must be an int"):
            mx.Device(mx.cpu, wrong)  # type: ignore[arg-type]
    assert not mx.is_available(mx.Device(mx.cpu, -1))


@pytest.mark.usefixtures("no_accelerator")
def test_synchronize_takes_streams_and_devices() -> None:
    for right in (None, mx.cpu, mx.Device(mx.cpu), mx.new_stream(mx.cpu), mx.new_thread_local_stream(mx.cpu)):
        assert mx.synchronize(right) is None
    for wrong in ("cpu", 1, mx.array(1)):
        with pytest.raises(TypeError, match=r"\[synchronize\] stream must be a Stream, a Device"):
            mx.synchronize(wrong)
    for absent in (mx.gpu, mx.Device(mx.cpu, 1)):
        with pytest.raises(ValueError, match=r"\[synchronize\] Cannot run without"):
            mx.synchronize(absent)
    mine = mx.new_stream(mx.cpu)
    assert isinstance(in_another_thread(lambda: mx.synchronize(mine)), RuntimeError)


@pytest.mark.parametrize("value", ["cpu", None, 0])
def test_what_is_no_device(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^\[is_available\] .*mx\.cpu or mx\.gpu, got"):
        mx.is_available(value)
    for call in (mx.Device, mx.set_default_device, mx.default_stream, mx.new_stream, mx.stream):
        with pytest.raises(TypeError, match=r"^\[\w+\] .*mx\.cpu or mx\.gpu, got"):
            call(value)
    if value is not None:
        with pytest.raises(TypeError, match=r"^\[device_info\]"):
            mx.device_info(value)
