"""What can go wrong with a test cluster."""


class ClusterError(Exception):
    """The cluster did not come up, or did not go down."""


class Unavailable(ClusterError):
    """This machine, or the cluster that stands in, cannot offer what was asked for.

    Tests skip on it; everything else is a failure.
    """
