from malha.kernel.text import in_header


def test_only_what_a_header_takes_is_left():
    assert in_header("“Situação” – 3 › 2\r\nX: y \\ Ω", 300) == "'Situacao' - 3 > 2  X: y / ?"
    assert in_header("a" * 500, 10) == "a" * 10
