from .check import check_texts as check_texts
from .findings import Finding as Finding
from .findings import Findings as Findings
from .personal import find_personal_data as find_personal_data
from .personal import mask_personal_data as mask_personal_data
from .repairs import repair_texts as repair_texts
