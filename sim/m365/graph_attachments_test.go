package m365sim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

func TestAttachmentsAreListedWithAndWithoutTheirBytes(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	whole := into[values](t, m.graph(messageOf+"/S1/attachments"))
	if want := []any{"#microsoft.graph.fileAttachment", "#microsoft.graph.fileAttachment",
		"#microsoft.graph.itemAttachment", "#microsoft.graph.referenceAttachment"}; !slices.Equal(whole.field("@odata.type"), want) {
		t.Errorf("kinds %v", whole.field("@odata.type"))
	}
	bytes, err := json.Marshal(map[string]any{"contentBytes": content(t, benFiles()[0])})
	m.must(err)
	if want := fmt.Sprintf("%v", into[map[string]any](t,
		reply{body: string(bytes)})["contentBytes"]); whole.Value[0]["contentBytes"] != want {
		t.Errorf("contentBytes %.40v, want %.40s", whole.Value[0]["contentBytes"], want)
	}
	if whole.Value[1]["contentId"] != "logo@1" || whole.Value[2]["contentType"] != nil ||
		whole.Value[2]["contentBytes"] != nil {
		t.Errorf("attachments: %v", whole.Value[1:])
	}
	short := into[values](t, m.graph(messageOf+"/S1/attachments?$select=id,size,isInline&$filter=isInline+eq+true"))
	if len(short.Value) != 4 || len(short.Value[0]) != 4 || short.Value[0]["size"] != 1237.0 {
		t.Errorf("selected: %v", short.Value)
	}
	bare := mailed(t, m365sim.Options{OmitODataType: true})
	if object := into[map[string]any](t, bare.graph(messageOf+"/S1/attachments/A2?$select=name")); len(object) != 1 ||
		object["name"] != "logo.png" {
		t.Errorf("without @odata.type: %v", object)
	}
}

func content(t *testing.T, a world.Attachment) []byte {
	t.Helper()
	raw, err := io.ReadAll(a.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestValueGivesTheTrueBytes(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	file := m.graph(messageOf + "/S1/attachments/A1/$value")
	if file.body != string(content(t, benFiles()[0])) || file.header.Get("Content-Type") != "application/pdf" {
		t.Errorf("file: %d, %d bytes, %s", file.status, len(file.body), file.header.Get("Content-Type"))
	}
	item := m.graph(messageOf + "/S1/attachments/A3/$value")
	if item.header.Get("Content-Type") != "message/rfc822" || !strings.HasPrefix(item.body, "MIME-Version: 1.0\r\n") {
		t.Errorf("item: %d %.60q", item.status, item.body)
	}
	if reference := m.graph(messageOf + "/S1/attachments/A4/$value"); reference.status != 405 {
		t.Errorf("reference: %d %s", reference.status, reference.body)
	}
}
