"""What the service answers: searching, adding, changing, deleting, labels, audit."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from resight import models
from resight.gallery import Gallery
from resight.inference import Extractor
from resight.serving import Limits
from tests.serving.conftest import BASE, Shop


def data(answer: Any, status: int = 200) -> Any:
    """The data of a success."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"ok", "data"}
    assert body["ok"] is True
    return body["data"]


def error(answer: Any, status: int, code: str) -> dict[str, str]:
    """The error of a failure."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"ok", "error"}
    assert body["ok"] is False
    assert body["error"].keys() == {"code", "message", "hint"}
    assert body["error"]["code"] == code
    assert body["error"]["message"].endswith(".")
    found: dict[str, str] = body["error"]
    return found


def ask(client: TestClient, pictures: list[bytes] = [], **query: Any) -> Any:  # noqa: B006
    files: list[Any] = [("query", (None, json.dumps(query)))]
    files += [("pictures", ("a.jpg", picture)) for picture in pictures]
    return client.post("/v1/search", files=files)


def test_a_picture_of_the_gallery_finds_itself_first(client: TestClient, picture: bytes, shop: Shop) -> None:
    (hits,) = data(ask(client, [picture], k=5))["hits"]
    assert [len(hits), hits[0]["id"], round(hits[0]["similarity"], 5)] == [5, "r0", 1.0]
    assert [hit["similarity"] for hit in hits] == sorted((hit["similarity"] for hit in hits), reverse=True)
    assert hits[0]["pid"] == str(shop.samples[0].pid)


def test_the_answer_is_that_of_the_gallery(client: TestClient, picture: bytes, shop: Shop) -> None:
    with Gallery.open(shop.folder) as gallery:
        expected = gallery.search(shop.extractor([picture]), 7, exclude_cameras=["c1"])[0]
    (hits,) = data(ask(client, [picture], k=7, exclude_cameras=["c1"]))["hits"]
    assert [hit["id"] for hit in hits] == [hit.id for hit in expected]
    np.testing.assert_allclose([hit["similarity"] for hit in hits], [hit.similarity for hit in expected], atol=1e-5)


def test_form_and_json_ask_alike(client: TestClient, picture: bytes) -> None:
    form = data(ask(client, [picture], k=3))
    as_json = data(client.post("/v1/search", json={"k": 3, "pictures": [base64.b64encode(picture).decode()]}))
    assert form["hits"] == as_json["hits"]


def test_a_record_is_searched_from_and_left_out(client: TestClient) -> None:
    (hits,) = data(ask(client, records=["r3"], k=30))["hits"]
    assert "r3" not in {hit["id"] for hit in hits}
    assert len(hits) == 23


def test_persons_are_searched_from_a_record_without_it(client: TestClient, shop: Shop) -> None:
    (persons,) = data(ask(client, records=["r3"], k=30, group=True))["persons"]
    found = [hit["id"] for person in persons for hit in person["hits"]]
    assert len(found) == 23 and "r3" not in found


def test_a_query_may_be_a_file_of_the_form(client: TestClient, picture: bytes) -> None:
    query = ("query.json", json.dumps({"k": 3, "cameras": ["c2"]}), "application/json")
    (hits,) = data(client.post("/v1/search", files={"query": query, "pictures": ("a.jpg", picture)}))["hits"]
    assert [hit["camera"] for hit in hits] == ["c2"] * 3


def test_several_pictures_of_one_person_give_one_list(client: TestClient, shop: Shop) -> None:
    two = [shop.samples[0].path.read_bytes(), shop.samples[1].path.read_bytes()]
    assert len(data(ask(client, two, k=3))["hits"]) == 2
    assert len(data(ask(client, two, k=3, fuse="mean"))["hits"]) == 1


def test_persons_instead_of_records(client: TestClient, picture: bytes, shop: Shop) -> None:
    (persons,) = data(ask(client, [picture], k=4, group=True))["persons"]
    assert len({person["pid"] for person in persons}) == len(persons) == len({s.pid for s in shop.samples})
    assert persons[0]["pid"] == str(shop.samples[0].pid)


def test_filters_of_time_and_camera(client: TestClient, picture: bytes, shop: Shop) -> None:
    times = sorted(BASE + sample.frame for sample in shop.samples)
    (hits,) = data(ask(client, [picture], k=30, after=times[5], before=times[12]))["hits"]
    assert {hit["time"] for hit in hits} == set(times[5:12])
    (hits,) = data(ask(client, [picture], k=30, cameras=["c2"]))["hits"]
    assert {hit["camera"] for hit in hits} == {"c2"}


def test_vectors_are_those_of_the_extractor(client: TestClient, picture: bytes, shop: Shop) -> None:
    found = data(client.post("/v1/embed", files={"pictures": picture}))
    np.testing.assert_allclose(found["vectors"], shop.extractor([picture]), atol=1e-5)
    assert found["metric"] == "cosine"


def test_pictures_are_resized_as_the_model_says(shop: Shop, tmp_path: Any) -> None:
    large, model = io.BytesIO(), models.read_model("synth_small")
    Image.open(shop.samples[0].path).resize((90, 200)).save(large, "PNG")
    model.interpolation = "bicubic"
    extractor = Extractor(model, device="cpu", precision="fp32")
    Gallery.open(tmp_path / "cubic", model=model).close()
    with replace(shop, folder=tmp_path / "cubic", extractor=extractor).client() as client:
        found = data(client.post("/v1/embed", files={"pictures": large.getvalue()}))
    np.testing.assert_allclose(found["vectors"], extractor([large.getvalue()]), atol=1e-5)
    assert abs(np.array(found["vectors"]) - shop.extractor([large.getvalue()])).max() > 1e-3


def test_adding_changing_deleting_and_undoing(client: TestClient, picture: bytes, shop: Shop) -> None:
    new = {"camera": "gate", "time": "2026-03-01T14:05:00", "pid": "anna", "note": "<script>alert(1)</script>"}
    form = [("query", (None, json.dumps({"records": [new]}))), ("pictures", ("a.jpg", picture))]
    (id,) = data(client.post("/v1/records", files=form))["ids"]
    assert data(client.post("/v1/records", files=form))["ids"] == [id]  # never doubled
    record = data(client.get(f"/v1/records/{id}"))
    assert (record["pid"], record["camera"], record["note"]) == ("anna", "gate", new["note"])
    assert client.get(f"/v1/records/{id}/picture").content[:2] == b"\xff\xd8"
    assert data(client.patch(f"/v1/records/{id}", json={"pid": "bob", "note": None}))["pid"] == "bob"
    gone = data(client.delete(f"/v1/records/{id}"))
    assert gone["deleted"] == 1
    error(client.get(f"/v1/records/{id}"), 404, "not_found")
    error(client.get(f"/v1/records/{id}/picture"), 404, "not_found")
    with Gallery.open(shop.folder) as gallery:
        assert gallery.get(id) is None  # at once, whatever can be undone
    assert data(client.post("/v1/records/undo", json={"token": gone["undo"]}))["ids"] == [id]
    assert data(client.get(f"/v1/records/{id}"))["pid"] == "bob"
    assert client.get(f"/v1/records/{id}/picture").status_code == 200
    error(client.post("/v1/records/undo", json={"token": gone["undo"]}), 404, "not_found")


def test_deleting_by_conditions_and_never_by_nothing(client: TestClient, shop: Shop) -> None:
    error(client.post("/v1/records/delete", json={}), 422, "invalid")
    pid = str(shop.samples[0].pid)
    mine = sum(str(sample.pid) == pid for sample in shop.samples)
    assert data(client.post("/v1/records/delete", json={"pids": [pid]}))["deleted"] == mine
    assert data(client.get("/v1/galleries"))[0]["records"] == 24 - mine


def test_ids_and_conditions_are_both_met_by_what_is_deleted(client: TestClient, shop: Shop) -> None:
    ids, camera = ["r0", "r1", "r2", "r2"], f"c{shop.samples[2].camid}"
    mine = sum(f"c{sample.camid}" == camera for sample in shop.samples[:3])
    gone = data(client.post("/v1/records/delete", json={"ids": ids, "cameras": [camera]}))
    assert gone["deleted"] == mine < 3
    assert data(client.get("/v1/galleries"))[0]["records"] == 24 - mine
    error(client.post("/v1/records/delete", json={"exclude_pids": []}), 422, "invalid")


def test_undoing_brings_back_the_very_record(client: TestClient, shop: Shop) -> None:
    with Gallery.open(shop.folder) as gallery:
        before, picture, vector = gallery.get("r5"), gallery.picture("r5"), gallery.vectors(["r5"])
        token = data(client.delete("/v1/records/r5"))["undo"]
        data(client.post("/v1/records/undo", json={"token": token}))
        assert gallery.get("r5") == before and gallery.picture("r5") == picture
        np.testing.assert_array_equal(gallery.vectors(["r5"]), vector)


def test_an_id_may_hold_a_slash(client: TestClient, picture: bytes) -> None:
    form = [("query", (None, json.dumps({"records": [{"id": "gate/1.jpg"}]}))), ("pictures", ("a.jpg", picture))]
    assert data(client.post("/v1/records", files=form))["ids"] == ["gate/1.jpg"]
    assert data(client.get("/v1/records/gate%2F1.jpg"))["id"] == "gate/1.jpg"
    assert client.get("/v1/records/gate%2F1.jpg/picture").content[:2] == b"\xff\xd8"
    assert data(client.patch("/v1/records/gate%2F1.jpg", json={"pid": "bob"}))["pid"] == "bob"
    assert data(client.delete("/v1/records/gate%2F1.jpg"))["deleted"] == 1


def test_an_id_that_no_record_can_have_is_not_found(client: TestClient) -> None:
    for ask in (client.get, client.delete):
        error(ask("/v1/records/" + "x" * 600), 404, "not_found")


def test_persons_are_counted_once_a_minute_for_probabilities(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from resight.serving.service import Caller, Service

    counted: list[str] = []
    facets = Gallery.facets

    def counting(gallery: Gallery, field: Any) -> Any:
        counted.append(field)
        return facets(gallery, field)

    monkeypatch.setattr(Gallery, "facets", counting)
    with Gallery.open(shop.folder) as gallery:
        service = Service({"people": gallery}, shop.extractor, None, Limits(), None, 1)
        asking = Caller("anna", "search")
        priors = {service.gallery(None, asking).prior() for _ in range(3)}
        service.close()
    assert priors == {1 / 4} and counted == ["pid"]


def test_pages_of_records(client: TestClient) -> None:
    first = data(client.get("/v1/records", params={"limit": 10}))
    second = data(client.get("/v1/records", params={"limit": 10, "after_id": first["after"]}))
    third = data(client.get("/v1/records", params={"limit": 10, "after_id": second["after"]}))
    ids = [record["id"] for page in (first, second, third) for record in page["records"]]
    assert len(set(ids)) == len(ids) == 24
    assert third["after"] is None


def test_where_the_model_looks(client: TestClient) -> None:
    answer = client.get("/v1/records/r0/attention")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content[:2] == b"\xff\xd8"


def test_labels_are_kept(client: TestClient) -> None:
    data(client.post("/v1/labels", json={"id": "r1", "same": True, "similarity": 0.8, "query": "r0"}))
    (mark,) = data(client.get("/v1/labels"))
    assert (mark["id"], mark["same"], mark["query"]) == ("r1", True, "r0")
    error(client.post("/v1/labels", json={"id": "nobody", "same": True, "similarity": 0.8}), 404, "not_found")


def test_each_query_has_a_name_for_its_labels(client: TestClient, shop: Shop) -> None:
    one, two = (shop.samples[at].path.read_bytes() for at in (0, 5))
    first, second, record = data(ask(client, [one, two], records=["r3"]))["queries"]
    assert len({first, second}) == 2
    assert record == "r3"
    assert data(ask(client, [one]))["queries"] == [first]
    assert len(data(ask(client, [one, two], fuse="mean"))["queries"]) == 1
    for query, same in ((first, True), (second, False)):
        data(client.post("/v1/labels", json={"id": "r1", "same": same, "similarity": 0.8, "query": query}))
    assert {(mark["query"], mark["same"]) for mark in data(client.get("/v1/labels"))} == {
        (first, True),
        (second, False),
    }


def test_the_audit_log_says_who(shop: Shop, keyed: Any, picture: bytes) -> None:
    keys, headers = keyed
    with shop.client(keys) as client:
        client.post("/v1/search", files={"pictures": picture}, headers=headers("search"))
        client.delete("/v1/records/r2", headers=headers("admin"))
        log = data(client.get("/v1/audit", headers=headers("admin")))
    assert [(entry["actor"], entry["action"]) for entry in log[:2]] == [
        ("the admin", "delete"),
        ("the search", "search"),
    ]


def test_retention(client: TestClient) -> None:
    assert data(client.post("/v1/retention", json={"keep_days": 36_000}))["deleted"] == 0
    assert data(client.post("/v1/retention", json={"keep_days": 1}))["deleted"] == 24
    error(client.post("/v1/retention", json={"keep_days": 0}), 422, "invalid")


def test_no_picture_no_search(client: TestClient) -> None:
    error(ask(client), 422, "invalid")
    error(client.post("/v1/embed", json={}), 422, "invalid")
    error(ask(client, records=["nobody"]), 404, "not_found")


def test_an_unknown_gallery_or_field(client: TestClient, picture: bytes) -> None:
    error(ask(client, [picture], gallery="other"), 404, "not_found")
    assert "colour" in error(ask(client, [picture], colour="red"), 422, "invalid")["message"]
    assert "limit" in error(client.get("/v1/records", params={"limit": 0}), 422, "invalid")["message"]


def test_the_description_has_an_example_for_every_body(client: TestClient) -> None:
    described = client.get("/v1/openapi.json").json()
    assert described["openapi"].startswith("3.")
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            assert route["summary"], (method, path)
            assert {"401", "422"} <= set(route["responses"]), (method, path)
    assert "example" in described["paths"]["/v1/search"]["post"]["requestBody"]["content"]["application/json"]


def test_every_schema_that_the_description_names_is_in_it(client: TestClient) -> None:
    described = client.get("/v1/openapi.json").json()
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))
    assert {"SearchQuery", "NewRecord"} <= named <= set(described["components"]["schemas"])
    assert "same_camera" in described["components"]["schemas"]["SearchQuery"]["properties"]


def test_metrics_count(client: TestClient, picture: bytes) -> None:
    ask(client, [picture])
    client.get("/v1/records/r0")
    text = client.get("/metrics").text
    assert 'resight_requests_total{method="GET",route="/v1/records/{id}",status="200"} 1.0' in text
    assert 'resight_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in text
    assert "resight_pictures_total 1.0" in text


def test_another_models_gallery_is_refused(tmp_path: Any, shop: Shop) -> None:
    from resight.errors import UsageError
    from resight.serving import create_app

    threads = threading.active_count()
    with (
        Gallery.open(tmp_path / "own", dim=4) as gallery,
        pytest.raises(UsageError, match="holds vectors of the model"),
    ):
        create_app({"own": gallery}, shop.extractor)
    assert threading.active_count() == threads
