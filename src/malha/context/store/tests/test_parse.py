from hypothesis import given, settings
from hypothesis import strategies as st

from malha.context.store import q

name = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True) | st.just("https://example.org/ns#a.b")
scalar = (
    st.integers(-(10**9), 10**9)
    | st.floats(-1e6, 1e6).map(lambda f: float(repr(f)))
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
)
path = st.builds(q.Path, st.lists(name, min_size=1, max_size=3).map(tuple), st.lists(name, max_size=2).map(tuple))
compared = st.builds(q.Term, path, st.sampled_from([">", "<", ">=", "<="]), st.tuples(scalar))
listed = st.builds(
    q.Term, path, st.sampled_from(["==", "!="]), st.lists(scalar | st.builds(q.Range, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=3).map(tuple)
)
term = compared | listed | st.builds(q.Term, path)
tree = st.recursive(
    term,
    lambda t: st.builds(q.Every, st.lists(t, min_size=2, max_size=3).map(tuple)) | st.builds(q.Some, st.lists(t, min_size=2, max_size=3).map(tuple)),
    max_leaves=8,
)


def test_it_works():
    node = q.parse('temperature>20;(name~="^Pra"|status==1..3,"ok");a.b[c.d]==true')
    assert isinstance(node, q.Every)
    assert node.parts[1].parts[1] == q.Term(q.Path(("status",)), "==", (q.Range(1, 3), "ok"))
    assert q.write(node) == 'temperature>20;(name~="^Pra"|status==1..3,"ok");a.b[c.d]==true'.join("()")


@settings(max_examples=200, deadline=None)
@given(tree)
def test_what_is_written_reads_back(node):
    assert q.parse(q.write(node)) == node
