package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkBundle verifies the evidence of one request as docs/evidence.md, "Bundles", has it.
func checkBundle(directory string) (string, error) {
	tree, err := signedTree(directory)
	if err != nil {
		return "", err
	}
	head, err := openHead(directory)
	if err != nil {
		return "", err
	}
	if head.size != tree.N || head.root != tree.Hash {
		return "", fmt.Errorf("head and checkpoint are of different logs")
	}
	lines, err := linesOf(filepath.Join(directory, "entries.jsonl"))
	if err != nil {
		return "", err
	}
	proofs, err := linesOf(filepath.Join(directory, "proofs.jsonl"))
	if err != nil {
		return "", err
	}
	if len(lines) != len(proofs) {
		return "", fmt.Errorf("%d entries have %d proofs", len(lines), len(proofs))
	}
	made := newDecisions()
	var ofChain, others int64
	last := int64(-1)
	for i, line := range lines {
		var proof struct {
			LeafIndex int64       `json:"leafIndex"`
			Hashes    []tlog.Hash `json:"hashes"`
		}
		if err := json.Unmarshal(proofs[i], &proof); err != nil {
			return "", err
		}
		if proof.LeafIndex <= last {
			return "", fmt.Errorf("line %d is out of order", i+1)
		}
		last = proof.LeafIndex
		if err := tlog.CheckRecord(proof.Hashes, tree.N, tree.Hash, proof.LeafIndex, tlog.RecordHash(line)); err != nil {
			return "", fmt.Errorf("line %d: %w", i+1, err)
		}
		e, err := made.take(line)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", i+1, err)
		}
		if e.Chain == head.chain {
			if e.Position != ofChain {
				return "", fmt.Errorf("line %d: position %d, expected %d", i+1, e.Position, ofChain)
			}
			ofChain++
		} else if "request/"+e.RequestID == head.chain {
			others++
		}
	}
	if ofChain != head.entries || others != head.others {
		return "", fmt.Errorf("the log holds %d and %d entries, the bundle %d and %d", head.entries, head.others, ofChain, others)
	}
	return fmt.Sprintf("all %d entries of %s, %d decisions verified", ofChain+others, head.chain, made.verified), nil
}

type chainHead struct {
	chain           string
	entries, others int64
	size            int64
	root            tlog.Hash
}

func openHead(directory string) (chainHead, error) {
	var head chainHead
	vkey, err := os.ReadFile(filepath.Join(directory, "vkey"))
	if err != nil {
		return head, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		return head, err
	}
	message, err := os.ReadFile(filepath.Join(directory, "head"))
	if err != nil {
		return head, err
	}
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return head, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 7 || lines[0] != verifier.Name()+"/chain-head" {
		return head, fmt.Errorf("not a chain head: %q", opened.Text)
	}
	numbers := make([]int64, 3)
	for i := range numbers {
		if numbers[i], err = strconv.ParseInt(lines[i+2], 10, 64); err != nil {
			return head, err
		}
	}
	root, err := base64.StdEncoding.DecodeString(lines[5])
	if err != nil || len(root) != tlog.HashSize {
		return head, fmt.Errorf("not a root hash: %q", lines[5])
	}
	return chainHead{lines[1], numbers[0], numbers[1], numbers[2], tlog.Hash(root)}, nil
}

func linesOf(path string) ([][]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		return nil, err
	}
	return bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n")), nil
}

// checkDecisions verifies every decision of an export.
func checkDecisions(directory string) (string, error) {
	lines, err := linesOf(filepath.Join(directory, "entries.jsonl"))
	if err != nil {
		return "", err
	}
	made := newDecisions()
	for i, line := range lines {
		if _, err := made.take(line); err != nil {
			return "", fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return fmt.Sprintf("%d decisions verified, %d of the first version", made.verified, made.first), nil
}
