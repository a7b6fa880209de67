"""News: articles become vectors, and vectors join the bars that could know them.

The features of a bar use only articles that were available strictly before its decision time.
"""

from ._aligner import NewsAligner
from ._articles import NewsArticle
from ._encoder import PretrainedNewsEncoder
from ._features import NewsFeatures, with_news
from ._files import read_news

__all__ = [
    "NewsAligner", "NewsArticle", "NewsFeatures", "PretrainedNewsEncoder", "read_news", "with_news",
]
