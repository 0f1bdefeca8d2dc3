"""RBD mirroring as one Ceph Manager module.

Inside ceph-mgr this exports the classes that the module loader looks for.  Elsewhere (workers,
tests, tools) the package imports without the manager's modules.
"""

__version__ = "0.1.0"

try:
    import ceph_module as _ceph_module  # noqa: F401  only ceph-mgr has it
except ImportError:
    pass
else:
    from .module import Module, StandbyModule  # noqa: F401
