"""Plausible wrong answers to the exercises of chapter 00, each with a pattern that the message must match."""

WRONG = {
    "class_share": [
        ("return (mask == class_index).sum().item() / mask.numel()", r"share of class 3 among the 12 labelled pixels"),
        (
            "return (mask == class_index).sum().item() / (mask != 11).sum().item()",
            r"share of class 1 when void is 255",
        ),
        ("return (mask == class_index).sum().item()", r"share of class 3"),
    ],
    "pixel_accuracy": [
        ("return (prediction == target).float().mean().item()", r"accuracy on the 13 labelled pixels"),
        (
            "scored = (target != void) & (prediction != void)\n"
            "return (prediction[scored] == target[scored]).float().mean().item()",
            r"prediction of void where the truth has a class is an error",
        ),
    ],
}
