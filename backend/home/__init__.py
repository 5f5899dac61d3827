"""What a home's automation is told over MQTT: above all whether a detector is blind.

    settings, broker   where to, as whom                        look       what one look at the backend saw
    windows, blindness what follows from several looks (pure)   watching   how it is looked at
    entities, story    what is said of it (pure)                mqtt       how it is said

It tells and never obeys: a rollout is changed by those who hold a key, and no message does it.
"""
