"""Errors about single images, which users find by the numbers that they gave them."""


class ImageError(ValueError):
    """An image cannot be used.

    Parameters
    ----------
    text : str
        What is wrong, to follow the number of the image.
    image : int
        Number of the image.
    called : str
        What images are called.
    """

    def __init__(self, text: str, image: int, called: str = "Image"):
        super().__init__(text, image, called)  # so that it can be pickled
        self.text, self.image, self.called = text, image, called

    def __str__(self) -> str:
        return f"{self.called} {self.image} {self.text}"
