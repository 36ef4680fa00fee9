package access_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
)

// order is a body with a field of every kind that bodies of the API have.
type order struct {
	Name  string          `json:"name"`
	Count int             `json:"count"`
	Big   *int64          `json:"big"`
	Open  bool            `json:"open"`
	Roles []access.Role   `json:"roles"`
	Items []item          `json:"items"`
	Any   json.RawMessage `json:"any"`
	Inner *item           `json:"inner"`
}

type item struct {
	Term  string `json:"term"`
	Items []item `json:"items"`
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		``:                                  ": INVALID_JSON",
		` `:                                 ": INVALID_JSON",
		`null`:                              ": INVALID_JSON",
		`7`:                                 ": INVALID_JSON",
		`"x"`:                               ": INVALID_JSON",
		`[]`:                                ": INVALID_JSON",
		`[{"name":"x"}]`:                    ": INVALID_JSON",
		`{`:                                 ": INVALID_JSON",
		`{"name":`:                          ": INVALID_JSON",
		`{"name":"x"`:                       ": INVALID_JSON",
		`{"name":"x",}`:                     ": INVALID_JSON",
		`{name:"x"}`:                        ": INVALID_JSON",
		`{"name":"x"}}`:                     ": INVALID_JSON",
		`{"name":"x"} {}`:                   ": INVALID_JSON",
		`{"name":"x"}//`:                    ": INVALID_JSON",
		`{"name":NaN}`:                      ": INVALID_JSON",
		`{"count":01}`:                      ": INVALID_JSON",
		"{\"name\":\"\xff\"}":               ": INVALID_JSON",
		"{\"name\":\"a\nb\"}":               ": INVALID_JSON",
		strings.Repeat(`{"inner":`, 50_000): ": INVALID_JSON",
		`{"items":` + strings.Repeat(`[`, 50_000): ": INVALID_JSON",

		`{"else":1}`:                             "else: UNKNOWN_FIELD",
		`{"Name":"x"}`:                           "Name: UNKNOWN_FIELD",
		`{"name":"x","NAME":"y"}`:                "NAME: UNKNOWN_FIELD",
		`{"na\u006de":"x","name":"y"}`:           "name: REPEATED_FIELD",
		`{"":1}`:                                 ": UNKNOWN_FIELD",
		`{"items":[{"term":"a"},{"Term":"b"}]}`:  "items[1].Term: UNKNOWN_FIELD",
		`{"inner":{"items":[{"x":{"y":[1]}}]}}`:  "inner.items[0].x: UNKNOWN_FIELD",
		`{"name":"x","name":"x"}`:                "name: REPEATED_FIELD",
		`{"inner":{"term":"a","term":null}}`:     "inner.term: REPEATED_FIELD",
		`{"any":{"a":1,"b":{"c":1,"c":2}}}`:      "any.b.c: REPEATED_FIELD",
		`{"name":7}`:                             "name: INVALID_VALUE",
		`{"name":["x"]}`:                         "name: INVALID_VALUE",
		`{"count":"7"}`:                          "count: INVALID_VALUE",
		`{"count":7.5}`:                          "count: INVALID_VALUE",
		`{"count":1e3}`:                          "count: INVALID_VALUE",
		`{"big":9223372036854775808}`:            "big: INVALID_VALUE",
		`{"open":"true"}`:                        "open: INVALID_VALUE",
		`{"open":1}`:                             "open: INVALID_VALUE",
		`{"roles":"admin"}`:                      "roles: INVALID_VALUE",
		`{"roles":["admin",{}]}`:                 "roles[1]: INVALID_VALUE",
		`{"roles":{"0":"admin"}}`:                "roles: INVALID_VALUE",
		`{"inner":[]}`:                           "inner: INVALID_VALUE",
		`{"name":"\ud83d"}`:                      "name: INVALID_VALUE",
		`{"name":"\\\udc00"}`:                    "name: INVALID_VALUE",
		`{"name":"\ude00\ud83d"}`:                "name: INVALID_VALUE",
		`{"any":["\ud83dx"]}`:                    "any[0]: INVALID_VALUE",
		`{"` + strings.Repeat("k", 300) + `":1}`: strings.Repeat("k", 200) + "...: UNKNOWN_FIELD",

		`{}`: "",
		`{"name":"\ud83d\ude00 \\ud83d \u0000","count":-7,"big":9223372036854775807,"open":true}`: "",
		`{"name":null,"count":null,"roles":null,"items":[null],"inner":null,"any":null}`:          "",
		`{"any":{"A":1,"a":[{"x":1.5e300},{"x":"y"}]},"roles":[],"items":[{"items":[{}]}]}`:       "",
	} {
		var v order
		got := ""
		if problems := access.Decode([]byte(body), &v); len(problems) > 0 {
			got = problems[0].Field + ": " + problems[0].Type
			if !strings.HasSuffix(problems[0].Description, ".") {
				t.Errorf("%.60s: %q is no sentence", body, problems[0].Description)
			}
		}
		if got != want {
			t.Errorf("%.60s: %q, want %q", body, got, want)
		}
	}
}

func TestDecodeSaysHowAFieldIsWritten(t *testing.T) {
	problems := access.Decode([]byte(`{"NAME":"x","cOunt":"x","name":7}`), new(order))
	want := []access.Problem{
		{Field: "NAME", Type: "UNKNOWN_FIELD", Description: "The field is not known. It is written name."},
		{Field: "cOunt", Type: "UNKNOWN_FIELD", Description: "The field is not known. It is written count."},
		{Field: "name", Type: "INVALID_VALUE", Description: "The value must be a string."},
	}
	if !reflect.DeepEqual(problems, want) {
		t.Errorf("%+v", problems)
	}
}

// A body of nothing but mistakes is answered with few of them, in short.
func TestDecodeOfAHostileBodyIsBounded(t *testing.T) {
	key := strings.Repeat("k", 30_000)
	for name, body := range map[string]string{
		"many unknown fields": `{` + strings.TrimSuffix(strings.Repeat(`"x":1,`, 10_000), ",") + `}`,
		"under a long key":    `{"` + key + `":[` + strings.TrimSuffix(strings.Repeat(`{"a":1,"a":2},`, 2000), ",") + `]}`,
	} {
		problems := access.Decode([]byte(body), new(order))
		if text := fmt.Sprint(problems); len(problems) > 20 || len(text) > 10_000 {
			t.Errorf("%s: %d problems of %d bytes", name, len(problems), len(text))
		}
	}
}

func TestReadJSONRefusesBodies(t *testing.T) {
	for name, step := range map[string]struct {
		kind, body string
		status     int
	}{
		"JSON":                      {"application/json", `{"name":"x"}`, 0},
		"JSON with a charset":       {"application/json; charset=utf-8", `{"name":"x"}`, 0},
		"no content type":           {"", `{"name":"x"}`, 0},
		"a byte order mark":         {"application/json", "\ufeff" + `{"name":"x"}`, 0},
		"a form":                    {"application/x-www-form-urlencoded", `{"name":"x"}`, 415},
		"a content type that is no": {"/;", `{"name":"x"}`, 415},
		"64 KiB":                    {"application/json", `{"name":"` + strings.Repeat("x", 64<<10-11) + `"}`, 0},
		"a byte more":               {"application/json", `{"name":"` + strings.Repeat("x", 64<<10-10) + `"}`, 413},
		"nothing":                   {"application/json", ``, 400},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(step.body))
		r.Header.Set("Content-Type", step.kind)
		var v order
		err := access.ReadJSON(httptest.NewRecorder(), r, &v)
		refused, _ := err.(*access.Refused)
		if step.status == 0 && (err != nil || v.Name == "") || step.status != 0 &&
			(refused == nil || refused.Status != step.status) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecode takes any body without a panic, in bounded time. What it refuses it explains. What it accepts is what
// encoding/json makes of it, with nothing left over: every key is one of the type's, as it is written, and given once.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"x","roles":["admin"],"items":[{"term":"t","items":[{}]}],"any":{"a":[1,"b",null]}}`,
		`{"name":"x","name":"y"}`, `{"Name":1}`, `{"name":"\ud83d\ude00"}`, `{"name":"\ud83d"}`,
		`{"big":9223372036854775808}`,
		`{"inner":{"items":[null,{"term":""}]}}`, `{"name":"x"}{}`, "\xff", `[[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got order
		if problems := access.Decode(body, &got); len(problems) > 0 {
			for _, p := range problems {
				if p.Type == "" || p.Description == "" || len(p.Field) > 500 || len(problems) > 20 {
					t.Errorf("%q: %+v", body, problems)
				}
			}
			if _, err := json.Marshal(problems); err != nil {
				t.Error(err)
			}
			return
		}
		var want order
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %+v, and encoding/json says %+v, %v", body, got, want, err)
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(body, &keys); err != nil {
			t.Fatal(err)
		}
		for key := range keys {
			if !strings.Contains(" name count big open roles items any inner ", " "+key+" ") {
				t.Errorf("%q: key %q was accepted", body, key)
			}
		}
	})
}
