package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"unicode/utf16"
)

// decisions verifies what docs/evidence.md, "Decisions", says of every decision in a sequence of entries.
type decisions struct {
	keys     map[string]ed25519.PublicKey
	shown    map[string]shown // by chain and digest
	verified int
	first    int // of the first version: nobody outside can verify them
}

type shown struct {
	stage    string
	revision float64
}

type entry struct {
	Kind      string                 `json:"kind"`
	Chain     string                 `json:"chain"`
	Position  int64                  `json:"position"`
	Actor     string                 `json:"actor"`
	RequestID string                 `json:"requestId"`
	Data      map[string]interface{} `json:"data"`
}

var spkiPrefix, _ = hex.DecodeString("302a300506032b6570032100")

func newDecisions() *decisions {
	return &decisions{keys: map[string]ed25519.PublicKey{}, shown: map[string]shown{}}
}

func (d *decisions) take(line []byte) (entry, error) {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, err
	}
	verdicts, withdrawal := map[string]bool{}, false
	switch e.Kind {
	case "installation.decision-key":
		return e, d.takeKey(e)
	case "request.case-file":
		return e, d.takeCaseFile(e)
	case "decision.recorded":
		verdicts["approve"], verdicts["deny"] = true, true
	case "proof.recorded":
		verdicts["confirm"] = true
	case "decision.withdrawn", "proof.withdrawn":
		verdicts["withdraw"], withdrawal = true, true
	default:
		return e, nil
	}
	told := e.Data
	if withdrawal {
		told, _ = e.Data["withdrawal"].(map[string]interface{})
	}
	if told == nil || told["version"] == nil {
		d.first++
		return e, nil
	}
	if err := d.check(e, told, verdicts); err != nil {
		return e, fmt.Errorf("%s of %s: %w", e.Kind, e.Chain, err)
	}
	d.verified++
	return e, nil
}

func (d *decisions) takeKey(e entry) error {
	raw, err := base64.StdEncoding.DecodeString(text(e.Data["publicKey"]))
	if err != nil || len(raw) != ed25519.PublicKeySize || e.Chain != "installation" {
		return fmt.Errorf("no decision key: %v", e.Data)
	}
	digest := sha256.Sum256(append(append([]byte{}, spkiPrefix...), raw...))
	if id := hex.EncodeToString(digest[:])[:16]; id != text(e.Data["keyId"]) {
		return fmt.Errorf("key %s has the id %s", text(e.Data["keyId"]), id)
	}
	d.keys[text(e.Data["keyId"])] = ed25519.PublicKey(raw)
	return nil
}

func (d *decisions) takeCaseFile(e entry) error {
	caseFile, ok := e.Data["caseFile"].(map[string]interface{})
	if !ok || text(caseFile["requestId"]) != e.RequestID {
		return fmt.Errorf("no case file of %s", e.RequestID)
	}
	digest := sha256.Sum256(canonical(caseFile))
	if hex.EncodeToString(digest[:]) != text(e.Data["digest"]) {
		return fmt.Errorf("the case file of %s does not have its digest", e.Chain)
	}
	revision, _ := caseFile["revision"].(float64)
	d.shown[e.Chain+" "+text(e.Data["digest"])] = shown{text(caseFile["stage"]), revision}
	return nil
}

func (d *decisions) check(e entry, told map[string]interface{}, verdicts map[string]bool) error {
	signed := map[string]interface{}{}
	for member, value := range told {
		if member != "signature" {
			signed[member] = value
		}
	}
	if signed["version"] != float64(2) {
		return fmt.Errorf("unknown version %v", signed["version"])
	}
	key, known := d.keys[text(told["keyId"])]
	if !known {
		return fmt.Errorf("key %v is not in the log before it", told["keyId"])
	}
	signature, err := base64.RawURLEncoding.DecodeString(text(told["signature"]))
	if err != nil || !ed25519.Verify(key, canonical(signed), signature) {
		return fmt.Errorf("the signature is not right")
	}
	if text(told["requestId"]) != e.RequestID || text(told["approverId"]) != e.Actor || !verdicts[text(told["verdict"])] {
		return fmt.Errorf("it is another decision than the entry says")
	}
	was, known := d.shown[e.Chain+" "+text(told["digest"])]
	revision, _ := told["revision"].(float64)
	if !known || was.stage != text(told["stage"]) || was.revision != revision {
		return fmt.Errorf("what it was made on is not in the log before it")
	}
	return nil
}

func text(value interface{}) string {
	s, _ := value.(string)
	return s
}

// canonical is RFC 8785 for what these entries hold: integers within 2^53, and text.
func canonical(value interface{}) []byte {
	var out bytes.Buffer
	write(&out, value)
	return out.Bytes()
}

func write(out *bytes.Buffer, value interface{}) {
	switch v := value.(type) {
	case nil:
		out.WriteString("null")
	case bool:
		out.WriteString(strconv.FormatBool(v))
	case float64:
		if v != float64(int64(v)) {
			fail(fmt.Errorf("a number that is no integer: %v", v))
		}
		out.WriteString(strconv.FormatInt(int64(v), 10))
	case string:
		writeText(out, v)
	case []interface{}:
		out.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			write(out, item)
		}
		out.WriteByte(']')
	case map[string]interface{}:
		members := make([]string, 0, len(v))
		for member := range v {
			members = append(members, member)
		}
		sort.Slice(members, func(i, j int) bool { return utf16Less(members[i], members[j]) })
		out.WriteByte('{')
		for i, member := range members {
			if i > 0 {
				out.WriteByte(',')
			}
			writeText(out, member)
			out.WriteByte(':')
			write(out, v[member])
		}
		out.WriteByte('}')
	}
}

// RFC 8785 §3.2.3 sorts by UTF-16 code units.
func utf16Less(a, b string) bool {
	one, other := utf16.Encode([]rune(a)), utf16.Encode([]rune(b))
	for i := 0; i < len(one) && i < len(other); i++ {
		if one[i] != other[i] {
			return one[i] < other[i]
		}
	}
	return len(one) < len(other)
}

func writeText(out *bytes.Buffer, s string) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	out.WriteByte('"')
	for _, r := range s {
		if escaped, ok := short[r]; ok {
			out.WriteString(escaped)
		} else if r < 0x20 {
			fmt.Fprintf(out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}
