"""``--cluster FILE``: a batch system, how many workers, and the options of its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.util.documents import read_yaml
from nas.util.errors import SettingError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from dask_jobqueue.core import JobQueueCluster
    from distributed import Security

_SYSTEMS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
_KEYS = {"system": str, "workers": int, "job": dict, "scheduler": dict, "tls": (str, dict)}
_TLS_KEYS = {"ca", "certificate", "key"}
_OURS = {"security", "scheduler_options", "silence_logs", "asynchronous", "n_workers", "loop", "job_cls"}


@dataclass(frozen=True)
class ClusterFile:
    """The content of a cluster's file.

    Attributes:
        path: The file, for messages.
        system: slurm, pbs or lsf.
        workers: Number of workers, which is the number of trials at a time.
        job: Options of ``dask_jobqueue``'s class for the system, passed on unchanged.
        scheduler: Options of Dask's scheduler, such as ``interface``, ``host`` or ``port``.
        tls: ``temporary``, or the files ``ca``, ``certificate`` and ``key``; None: no encryption.
    """

    path: Path
    system: str
    workers: int
    job: dict[str, Any]
    scheduler: dict[str, Any]
    tls: str | dict[str, str] | None

    @classmethod
    def read(cls, path: Path) -> ClusterFile:
        """Reads a file.

        Raises:
            UserError: If it does not exist or is not YAML, or a key is unknown, missing or of the wrong type.
        """
        values = read_yaml(path, "cluster")
        if not isinstance(values, dict):
            raise SettingError("cluster", path, "must have the keys system, workers and job")
        for key, value in values.items():
            if key not in _KEYS:
                raise SettingError("cluster", path, f"{key}: unknown; keys are {', '.join(_KEYS)}")
            if not isinstance(value, _KEYS[key]) or isinstance(value, bool):  # type: ignore[arg-type]
                raise SettingError(
                    "cluster", path, f"{key}: {value!r} does not fit; docs/scaling.md has examples"
                )
        if values.get("system") not in _SYSTEMS:
            given = values.get("system", "missing")
            raise SettingError("cluster", path, f"system: {given}; must be one of {', '.join(_SYSTEMS)}")
        if values.get("workers", 1) < 1:
            raise SettingError("cluster", path, f"workers: {values['workers']}; must be at least 1")
        encryption = values.get("tls")
        if isinstance(encryption, dict) and set(encryption) != _TLS_KEYS:
            raise SettingError("cluster", path, "tls: must be temporary, or have ca, certificate and key")
        if isinstance(encryption, str) and encryption != "temporary":
            raise SettingError(
                "cluster", path, f"tls: {encryption}; must be temporary, or ca, certificate, key"
            )
        file = cls(
            path,
            values["system"],
            values.get("workers", 1),
            values.get("job", {}),
            values.get("scheduler", {}),
            encryption,
        )
        file._check_job()
        return file

    def cluster(self) -> JobQueueCluster:
        """Starts Dask's scheduler for the batch system; no job is submitted yet.

        Raises:
            UserError: If Dask rejects the options.
        """
        import dask_jobqueue

        # Dask's pages stay on this machine unless the file says otherwise.
        options = {"dashboard_address": "127.0.0.1:0", **self.scheduler}
        security = None if self.tls is None else self._security(self.tls)
        job = {"processes": 1, **self.job}
        try:
            return getattr(dask_jobqueue, _SYSTEMS[self.system])(
                **job, security=security, scheduler_options=options, silence_logs="critical"
            )
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise SettingError("cluster", self.path, first_line(error)) from None

    def _check_job(self) -> None:
        for key in self.job:
            if key in _OURS:
                raise SettingError("cluster", self.path, f"job: {key} is set by the search; leave it out")
        for key in ("cores", "memory"):
            if key not in self.job:
                raise SettingError(
                    "cluster", self.path, f"job: {key} is missing; docs/scaling.md has examples"
                )
        processes = self.job.get("processes", 1)
        cores = self.job["cores"]
        if not isinstance(cores, int) or cores < 1:
            raise SettingError("cluster", self.path, f"job: cores: {cores!r}; must be a number of at least 1")
        if not isinstance(processes, int) or not 1 <= processes <= cores:
            raise SettingError("cluster", self.path, f"job: processes: {processes}; must be from 1 to cores")

    def _security(self, values: str | dict[str, str]) -> Security:
        from distributed import Security

        if isinstance(values, str):
            try:
                return Security.temporary()
            except ImportError:
                raise SettingError(
                    "cluster",
                    self.path,
                    "tls: temporary: needs the package cryptography; pip install cryptography",
                ) from None
        pair: dict[str, Any] = {"tls_ca_file": values["ca"], "require_encryption": True}
        for role in ("client", "scheduler", "worker"):
            pair |= {f"tls_{role}_cert": values["certificate"], f"tls_{role}_key": values["key"]}
        return Security(**pair)
