package m365

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mailtrail/mailtrail/shared/fault"
)

func readEncoded(text io.Reader) ([]byte, error) {
	e := &encoded{what: "open", in: bufio.NewReaderSize(text, 16), body: io.NopCloser(nil)}
	e.bytes = base64.NewDecoder(base64.StdEncoding, &base64Text{e: e})
	return io.ReadAll(e)
}

func TestEncoded(t *testing.T) {
	const file = "the file's bytes\x00\xff?>\xfb\xef\xbe\xff\xff"
	encoded := base64.StdEncoding.EncodeToString([]byte(file))
	for name, text := range map[string]string{
		"last":           `{"@odata.type":"#microsoft.graph.fileAttachment","id":"x","size":7,"isInline":false,"contentBytes":"` + encoded + `"}`,
		"first":          `{"contentBytes":"` + encoded + `","name":"\"contentBytes\":\"QUJD\"","item":{"contentBytes":"QUJD"},"list":[{"contentBytes":"QUJD"}]}` + "\r\n",
		"blanks":         "{ \"name\" : null ,\n \"contentBytes\" :\t\"" + encoded + "\" }",
		"named so":       `{"name":"contentBytes","contentType":"contentBytes:","contentBytes":"` + encoded + `"}`,
		"slashes":        `{"contentBytes":"` + strings.ReplaceAll(encoded, "/", `\/`) + `"}`,
		"numbers":        `{"contentBytes":"` + strings.NewReplacer("/", `\u002f`, "+", `\u002B`).Replace(encoded) + `"}`,
		"within another": `{"item":{"contentBytes":"QUJD"},"contentBytes":"` + encoded + `"}`,
	} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			if got, err := readEncoded(r); string(got) != file || err != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		text = strings.TrimSpace(text)
		for cut := range len(text) {
			if got, err := readEncoded(strings.NewReader(text[:cut])); err == nil {
				t.Fatalf("%s: cut after %d bytes it is taken for a file of %d bytes", name, cut, len(got))
			} else if !errors.Is(err, fault.Retry) {
				t.Fatalf("%s: cut after %d bytes: %v is no retry", name, cut, err)
			}
		}
	}
	for name, text := range map[string]string{
		"a page": "<html><body>The gateway gave up.</body></html>", "no file": `{"id":"x","item":{}}`, "null": `{"contentBytes":null,"id":"x"}`,
		"not base64": `{"contentBytes":"?????"}`, "two values": `{"contentBytes":"QUJD"}{}`, "another end": `{"contentBytes":"QUI"}`,
		"a letter that is none": `{"contentBytes":"QU\u0142D"}`, "half a number": `{"contentBytes":"QUJD\u00"}`, "another escape": `{"contentBytes":"QUJD\tQUJD"}`,
	} {
		if got, err := readEncoded(strings.NewReader(text)); !errors.Is(err, fault.Retry) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := readEncoded(strings.NewReader(`{"contentBytes":""}`)); len(got) > 0 || err != nil {
		t.Errorf("an empty file: %q, %v", got, err)
	}
}

func FuzzEncoded(f *testing.F) {
	f.Add([]byte(`{"contentBytes":"QUJD","name":"x"}`))
	f.Add([]byte(`{"a":["{",{"b":"}"}],"contentBytes":"QUJD"}`))
	f.Add([]byte(`{"contentBytes":"QU\/D"}`))
	f.Add([]byte(`{"contentBytes":"QU\u002BD"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := readEncoded(bytes.NewReader(text))
		if err != nil && !errors.Is(err, fault.Retry) {
			t.Errorf("%v is no retry", err)
		}
		// What the standard library reads as one member of that name is read alike.
		var said map[string]json.RawMessage
		if json.Unmarshal(text, &said) != nil || bytes.Count(text, []byte("contentBytes")) != 1 {
			return
		}
		var want []byte
		if raw, ok := said["contentBytes"]; !ok || json.Unmarshal(raw, &want) != nil || raw[0] != '"' {
			return
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	})
}

func FuzzAttachmentType(f *testing.F) {
	f.Add([]byte(`{"@odata.context":"x","@odata.type":"#microsoft.graph.fileAttachment","contentBytes":"QUJD`))
	f.Add([]byte(`{"a":{"@odata.type":"no"},"@odata.type":"yes"}`))
	f.Add([]byte(`[{"@odata.type":"x"}]`))
	f.Fuzz(func(t *testing.T, head []byte) {
		got := typeIn(head)
		var said struct {
			Type string `json:"@odata.type"`
		}
		if bytes.Count(head, []byte("odata.type")) == 1 && !bytes.Contains(head, []byte(`\`)) &&
			json.Unmarshal(head, &said) == nil &&
			bytes.Contains(head, []byte(`"@odata.type"`)) &&
			got != said.Type {
			t.Errorf("%q, want %q", got, said.Type)
		}
	})
}

func TestTypeInAnObjectOfWhichOnlyTheBeginningIsThere(t *testing.T) {
	for head, want := range map[string]string{
		`{"@odata.context":"x","@odata.type":"#microsoft.graph.itemAttachment","na`:        "#microsoft.graph.itemAttachment",
		`{"item":{"@odata.type":"inner"},"list":["@odata.type","x"],"@odata.type":"outer"`: "outer",
		`{"name":"@odata.type","id":"x"}`:                                                  "",
		`{"@odata.type":"cut`:                                                              "",
		`<html>`:                                                                           "",
	} {
		if got := typeIn([]byte(head)); got != want {
			t.Errorf("%s: %q, want %q", head, got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(
		[]byte(
			`{"id":"x","from":null,"toRecipients":[{"emailAddress":{"name":"a","address":"b@c"}}],"sentDateTime":"2026-01-01T00:00:00Z"}`,
		),
	)
	f.Add([]byte(`{"toRecipients":[null,{},{"emailAddress":null}],"bccRecipients":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var m message
		if json.Unmarshal(text, &m) != nil {
			return
		}
		for _, r := range m.mail().Recipients {
			if strings.TrimSpace(r.Address) == "" {
				t.Errorf("a recipient without an address: %+v", r)
			}
		}
	})
}

func TestFilesAreDownloadedFromTheCloudsOwnHostsOnly(t *testing.T) {
	e := cloud(
		"https://login.microsoftonline.com",
		"https://manage.office.com",
		"https://graph.microsoft.com",
		"sharepoint.com",
	)
	for address, want := range map[string]bool{
		"https://contoso-my.sharepoint.com/personal/x/_layouts/15/download.aspx?tempauth=1": true,
		"https://CONTOSO.SharePoint.com/x":                                                  true,
		"https://sharepoint.com/x":                                                          true,
		"http://contoso.sharepoint.com/x":                                                   false,
		"https://contoso.sharepoint.us/x":                                                   false,
		"https://evilsharepoint.com/x":                                                      false,
		"https://contoso.sharepoint.com.evil.test/x":                                        false,
		"https://u:p@contoso.sharepoint.com/x":                                              false,
		"/relative":                                                                         false,
		"":                                                                                  false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.serves(u); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
	if fmt.Sprint(
		Endpoints{Graph: "https://graph.microsoft.com"}.serves(&url.URL{Scheme: "https", Host: "x"}),
	) != "false" {
		t.Error("without a domain of files, files are downloaded")
	}
}
