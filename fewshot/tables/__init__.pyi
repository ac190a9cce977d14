from .columns import Columns as Columns
from .columns import guess_columns as guess_columns
from .opening import open_table as open_table
from .predictions import PredictionWriter as PredictionWriter
from .rows import LabelledRows as LabelledRows
from .rows import Row as Row
from .table import Table as Table
