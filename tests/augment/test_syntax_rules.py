"""Each rule of the source `syntax` by itself: what it makes, and what it must leave alone."""

import pytest

from fewshot.augment.syntax import RULES

MAKES = [
    # inversions of names
    ("inverted_heading", "Bone Neoplasms", "Neoplasms, Bone"),
    ("inverted_heading", "Deep Brain Stimulation", "Stimulation, Deep Brain"),
    ("plain_heading", "Neoplasms, Bone", "Bone Neoplasms"),
    ("of_phrase", "femur fracture", "fracture of the femur"),
    ("of_phrase", "Hip Fractures", "Fractures of the Hip"),
    ("of_phrase", "Bone Neoplasms", "Neoplasms of Bone"),
    ("of_phrase", "acute kidney failure", "acute failure of the kidney"),
    ("of_phrase", "chest pain", "pain in the chest"),
    ("compound", "fracture of the femur", "femur fracture"),
    ("compound", "Giant Cell Tumor of Bone", "Giant Cell Bone Tumor"),
    ("compound", "Loop of Henle", "Henle Loop"),
    ("eponym", "Colles' Fracture", "Colles Fracture"),
    ("eponym", "Broca's Area", "Area of Broca"),
    ("cause", "pneumonia due to aspiration", "pneumonia caused by aspiration"),
    ("cause", "Exercise-Induced Asthma", "Asthma induced by Exercise"),
    ("carrier", "Tularemia", "The term tularemia"),
    ("carrier", "Bone Neoplasms", "About Bone Neoplasms"),
    ("and_order_of_names", "Sprains and Strains", "Strains and Sprains"),
    ("and_order_of_names", "Tissue and Organ Harvesting", "Organ and Tissue Harvesting"),
    ("and_order_of_names", "Coroners and Medical Examiners", "Medical Examiners and Coroners"),
    # joints
    ("hyphen", "my top-up failed", "my top up failed"),
    ("hyphen", "My top up failed.", "My top-up failed."),
    ("hyphen", "Antigen-Antibody Complex", "Antigen Antibody Complex"),
    ("slash", "my debit/credit card is lost", "my debit or credit card is lost"),
    ("slash", "is my debit or credit card lost", "is my debit/credit card lost"),
    ("brackets", "Antisense Elements (Genetics)", "Antisense Elements, Genetics"),
    # order inside a clause
    ("and_order", "an account for children and teens, please", "an account for teens and children, please"),
    ("route", "i need a flight from nyc to paris with delta", "i need a flight to paris from nyc with delta"),
    ("dative", "please send my daughter a card", "please send a card to my daughter"),
    ("dative", "book a hotel for me", "book me a hotel"),
    ("particle", "how do I set up an account?", "how do I set an account up?"),
    ("particle", "the atm won't give my card back!", "the atm won't give back my card!"),
    ("time", "I deposited cash this morning.", "This morning, I deposited cash."),
    ("time", "next week my card expires", "my card expires next week"),
    ("there", "There is a strange charge on my statement", "A strange charge is on my statement"),
    # clauses
    ("clause_order", "If my card is lost, what should I do?", "What should I do if my card is lost?"),
    ("clause_order", "What do I do when my card expires?", "When my card expires, what do I do?"),
    ("clause_order", "if i am low on credit can i top up", "can i top up if i am low on credit"),
    ("because", "I lost my card so I need a new one.", "I need a new one because I lost my card."),
    ("because", "I need help because I got a new job", "I got a new job, so I need help"),
    (
        "although",
        "The balance is the same, but I deposited money.",
        "Although the balance is the same, I deposited money.",
    ),
    ("although", "I was charged although my card failed", "My card failed, but I was charged"),
    ("possessive", "what is the status of my order", "what is my order's status"),
    ("possessive", "tell me my car's tire pressure", "tell me the tire pressure of my car"),
    # voice
    ("passive", "The bank declined my card", "My card was declined by the bank"),
    ("passive", "They charged me twice.", "I was charged twice."),
    ("passive", "the app has rejected my transfers", "my transfers have been rejected by the app"),
    ("passive", "Someone stole my wallet yesterday", "My wallet was stolen yesterday"),
    ("passive", "the bank did not accept my top up today", "my top up was not accepted by the bank today"),
    ("active", "My card was declined by the bank", "The bank declined my card"),
    ("active", "I was charged a fee.", "They charged me a fee."),
    ("active", "My identity has been stolen", "Someone has stolen my identity"),
    ("active", "my transfers weren't accepted by the app", "the app didn't accept my transfers"),
    ("active", "my PIN is blocked", "they have blocked my PIN"),
    ("passive_question", "Why did the app deny my top up?", "Why was my top up denied by the app?"),
    ("passive_question", "When did you charge me?", "When was I charged?"),
    ("active_question", "Why was I charged a fee?", "Why did you charge me a fee?"),
    # contractions
    ("contraction", "I do not know it", "I don't know it"),
    ("contraction", "i am sure i have lost my card", "i'm sure i have lost my card"),
    ("contraction", "i am sure i have lost my card", "i am sure i've lost my card"),
    ("full_form", "I don't know it", "I do not know it"),
    ("full_form", "i'm late", "i am late"),
    ("full_form", "what's the fee?", "what is the fee?"),
    ("full_form", "Why hasn't my card arrived?", "Why has my card not arrived?"),
    ("full_form", "the top up didnt work", "the top up didn't work"),
    ("colloquial", "I wanna pay", "I want to pay"),
    ("colloquial", "I want to pay my bill", "I wanna pay my bill"),
    # small words
    ("obligation", "do I have to pay?", "do I need to pay?"),
    ("obligation", "We need to pay.", "We have to pay."),
    ("ability", "I wasn't able to pay.", "I could not pay."),
    ("ability", "i can't find my card", "i am not able to find my card"),
    ("still", "My card hasn't arrived.", "My card still hasn't arrived."),
    ("still", "My card hasn't arrived.", "My card hasn't arrived yet."),
    ("that", "I think someone has my card", "I think that someone has my card"),
    ("that", "the payment that I made failed", "the payment I made failed"),
    # questions
    ("how_to", "How do I order a card?", "What is the way to order a card?"),
    ("how_to", "How do I order a card?", "Tell me how to order a card."),
    ("how_to", "please tell me how to order a card", "how can i order a card"),
    ("go_about", "How do I swap a card?", "How would I go about swapping a card?"),
    ("go_about", "how do i go about getting a card", "how do i get a card"),
    ("possibility", "Can I pay by card?", "Is it possible to pay by card?"),
    ("possibility", "is there a way to pay by card", "am i able to pay by card"),
    ("possibility_of_others", "Can my son open an account?", "Is it possible for my son to open an account?"),
    ("reason", "Why was my card declined?", "How come my card was declined?"),
    ("reason", "how come my card failed", "why did my card fail"),
    ("wh_phrase", "How long does it take?", "How much time does it take?"),
    ("wh_phrase", "what fees do you charge", "which fees do you charge"),
    ("indirect_question", "Why did my top up fail?", "Can you tell me why my top up failed?"),
    ("indirect_question", "where is my card", "i would like to know where my card is"),
    ("indirect_question", "Does my credit card expire?", "Do you know if my credit card expires?"),
    ("indirect_question", "Is my card late?", "I wonder if my card is late."),
    ("indirect_question", "what happens if i lose my card", "tell me what happens if i lose my card"),
    ("direct_question", "Can you tell me why my top up failed?", "Why did my top up fail?"),
    ("direct_question", "I want to know if my card has arrived.", "Has my card arrived?"),
    ("question_frame", "can you tell me why it failed", "do you know why it failed"),
    ("question_frame", "tell me if it is late", "tell me whether it is late"),
    ("what_is", "What is the exchange rate?", "Please tell me the exchange rate."),
    ("what_is", "tell me my balance", "what is my balance"),
    # requests
    ("request", "set a timer", "could you set a timer"),
    ("request", "Can you set a timer?", "Please set a timer."),
    ("request", "i need you to set a timer", "set a timer"),
    ("wish", "I want to order a card.", "I would like to order a card."),
    ("wish", "help me find my phone", "can you help me find my phone"),
    ("wish_for_thing", "I need a new card.", "Can I get a new card?"),
    ("help_with", "i need help with my loan", "can you help me with my loan"),
    # politeness
    ("please", "Set a timer.", "Please set a timer."),
    ("please", "Could you set a timer?", "Could you please set a timer?"),
    ("please", "set a timer please", "please set a timer"),
    ("greeting", "My card has not arrived.", "Hello, my card has not arrived."),
    ("no_greeting", "hi, my card has not arrived", "my card has not arrived"),
    ("thanks", "My card has not arrived.", "My card has not arrived. Thank you."),
    ("opening", "My card hasn't arrived.", "I have a problem: my card hasn't arrived."),
    ("opening", "I am flying to Rome.", "Just to let you know, I am flying to Rome."),
    ("closing", "my card hasn't arrived", "my card hasn't arrived, can you help"),
]
LEAVES = [
    ("inverted_heading", "Complement Factor I"),  # a number, not a head
    ("inverted_heading", "Pain in the Chest"),
    ("plain_heading", "Disruptive, Impulse Control, and Conduct Disorders"),
    ("of_phrase", "Tennis Elbow"),  # no elbow of tennis
    ("of_phrase", "Renal Failure"),  # no failure of the renal
    ("of_phrase", "Low Back Pain"),  # no low pain
    ("compound", "Trial of Labor"),
    ("compound", "Congenital Disorders of Glycosylation"),
    ("compound", "how do I get out of the app"),
    ("carrier", "My card is lost"),
    ("carrier", "buhbye"),
    ("carrier", "cant say"),
    ("and_order_of_names", "Pulp Capping and Pulpectomy Agents"),
    ("and_order", "my card was stolen and used"),  # in this order of time
    ("and_order", "is there a fee for this and that"),
    ("hyphen", "non-toxic agents"),
    ("slash", "Rho/1 and/or 3"),
    ("route", "i need a hotel from monday to friday"),
    ("route", "change my name from bob to jim"),
    ("dative", "how do i get a pin for my card"),
    ("particle", "is there cash in my account"),
    ("particle", "i want to set up an auto top-up"),
    ("time", "my friend has not got the money I sent last week"),  # sent last week, or not got last week?
    ("clause_order", "I want to know when my card arrives"),
    ("clause_order", "If my card is late, is it lost?"),  # "it" would come before what it is
    ("because", "call hr so I can find out"),  # a purpose
    ("passive", "The machine only paid me"),
    ("passive", "I have two cards"),
    ("active", "My card was swallowed by using it"),
    ("active", "I was allowed to leave"),
    ("contraction", "do I have a card"),
    ("full_form", "it's been a week"),  # has
    ("full_form", "the bank's card"),
    ("colloquial", "I am going to Rome"),
    ("obligation", "list the shots I need to travel"),
    ("how_to", "how do I know if it is late"),
    ("indirect_question", "what is the deal"),
    ("indirect_question", "could you set a timer"),
    ("what_is", "what's the deal?"),
    ("request", "tell me how to pay"),
    ("request", "transfer failed"),
    ("request", "thank you so much"),
    ("request", "do you know my name"),
    ("wish", "I want to know my name"),
    ("wish", "I am trying to pay and something is going wrong"),
    ("please", "Please set a timer."),
    ("greeting", "hi, my card has not arrived"),
    ("greeting", "flip a coin"),
    ("opening", "I want to order a card"),
    ("closing", "my card hasn't arrived, can you help?"),
]


def ids(rows):
    return [f"{row[0]}: {row[1]}" for row in rows]


@pytest.mark.parametrize(("rule", "text", "made"), MAKES, ids=ids(MAKES))
def test_a_rule_makes(rule, text, made):
    assert made in RULES[rule].apply(text)


@pytest.mark.parametrize(("rule", "text"), LEAVES, ids=ids(LEAVES))
def test_a_rule_leaves_alone(rule, text):
    assert RULES[rule].apply(text) == []


def test_every_rule_is_tested():
    assert {rule for rule, _, _ in MAKES} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_never_gives_the_text_itself_or_a_text_twice(rule):
    for text in dict.fromkeys(text for _, text, _ in MAKES):
        made = RULES[rule].apply(text)
        assert text not in made
        assert len(set(made)) == len(made)
