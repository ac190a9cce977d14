from .collection import collect as collect
from .folder import load_bundled as load_bundled
from .folder import load_folder as load_folder
from .hub import load_hub as load_hub
from .task import Task as Task
from .task import normalise as normalise
