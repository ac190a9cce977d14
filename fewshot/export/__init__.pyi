from .runtime import ExportedClassifier as ExportedClassifier
from .writing import write_exported as write_exported
