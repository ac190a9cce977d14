from .adapter import AdapterCard as AdapterCard
from .adapter import AdapterSource as AdapterSource
from .adapter import StoredAdapter as StoredAdapter
from .adapter import read_adapter as read_adapter
from .adapter import write_adapter as write_adapter
