"""Analysis: what an index tells of its documents as a whole, one question a file."""

from hashret.analysis.clusters import Cluster, clusters
from hashret.analysis.map import Point, draw, plane
from hashret.analysis.outliers import Outlier, outliers

__all__ = ["Cluster", "Outlier", "Point", "clusters", "draw", "outliers", "plane"]
