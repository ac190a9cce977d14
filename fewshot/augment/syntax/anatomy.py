"""Nouns that take part in inversions such as "femur fracture" ↔ "fracture of the femur"."""

from fewshot.augment.syntax.words import vocabulary

# Parts of which a body has few: "fracture of the femur".
PARTS = vocabulary(
    """abdomen ankle aorta appendix arm artery back bladder brain breast bronchus calf cecum cerebellum cervix
    chest chin clavicle cochlea colon cornea diaphragm duodenum ear elbow esophagus eye eyelid face femur
    fibula finger foot forearm forehead gallbladder groin hand head heart heel hip humerus hypothalamus ileum
    intestine iris jaw jejunum joint kidney knee larynx leg lens lip liver lung mandible maxilla mouth neck
    nose ovary pancreas pelvis penis pericardium peritoneum pharynx placenta pleura prostate radius rectum
    retina rib sacrum scalp scapula scrotum shoulder skin skull sole sphincter spine spleen sternum stomach
    testis thalamus thigh throat thumb thymus thyroid tibia toe tongue tonsil tooth trachea ulna umbilicus
    ureter urethra uterus vagina vein vulva wrist"""
)
# Stuff without an article: "cancer of bone".
STUFFS = vocabulary("bone blood muscle cartilage tissue enamel marrow plasma protein lipid water")
# Heads that something happens to or that belong to a part, so that "of" means the same as standing before.
HEADS = vocabulary(
    """abnormality abscess amputation anomaly artery atrophy biopsy calcification cancer carcinoma contusion
    cortex cyst deformity disease dislocation disorder dysfunction edema enlargement failure fibrosis
    fracture hemorrhage hypertrophy hypoplasia infection inflammation injury irrigation ischemia lesion
    malformation metastasis necrosis neoplasm obstruction pain perforation prolapse resection rupture sarcoma
    sprain stenosis surgery swelling transplantation trauma tuberculosis tumor tumour ulcer transfusion
    formation development regeneration density"""
)


def singular(noun: str) -> str:
    """A noun without the ending of a regular plural.

    Example:
        >>> [singular(noun) for noun in ("Fractures", "injuries", "abscesses", "prolapse", "stenosis", "metastases")]
        ['Fracture', 'injury', 'abscess', 'prolapse', 'stenosis', 'metastasis']
    """
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    if noun.endswith(("stases", "noses")):
        return noun[:-2] + "is"
    if noun.endswith(("sses", "xes", "ches", "shes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) else noun
