"""Analysis of the documents of an index: clusters, outliers and a map, one file each."""

from hashret.analysis.clusters import Cluster, clusters
from hashret.analysis.map import Point, draw, plane
from hashret.analysis.outliers import Outlier, outliers

__all__ = ["Cluster", "Outlier", "Point", "clusters", "draw", "outliers", "plane"]
