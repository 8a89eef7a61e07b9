import torch

from mocliplite.fusion import products


def gradients(product, x, weight):
    """The product, and the gradients of a weighted sum of it."""
    x, weight = (tensor.clone().requires_grad_() for tensor in (x, weight))
    out = product(x, weight)
    return [out.detach(), *torch.autograd.grad((out * torch.arange(out.numel()).reshape(out.shape)).sum(), [x, weight])]


def test_batched_product_has_the_values_and_gradients_of_torch():
    torch.manual_seed(0)
    x, weight = torch.randn(3, 5, 4), torch.randn(3, 4, 6)
    for ours, reference in zip(
        gradients(products.batched_product, x, weight), gradients(torch.matmul, x, weight), strict=True
    ):
        assert torch.allclose(ours, reference, rtol=1e-5)


def test_products_are_the_same_bytes_on_any_number_of_threads():
    torch.manual_seed(0)
    x, weight, before = torch.randn(2, 512, 896), torch.randn(2, 896, 256), torch.get_num_threads()
    outputs = []
    for threads in (1, 2, 3, 4, 8):
        torch.set_num_threads(threads)
        outputs.append(gradients(products.batched_product, x, weight))
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for found in outputs[1:] for one, other in zip(outputs[0], found, strict=True))
