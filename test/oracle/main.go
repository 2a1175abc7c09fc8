// Oracle checks an evidence export with Go's own transparency log packages, which know nothing of Tenure.
//
//	oracle <export directory> <proofs.json>
//	oracle decisions <export directory>
//	oracle bundle <directory of one request>
//
// It opens the signed checkpoint with the note key, rebuilds the tree from the lines, compares the root, and checks every
// inclusion and consistency proof; or every decision, or the evidence of one request, by docs/evidence.md alone. It prints one line and exits 0, or says what is wrong and exits 1.
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

type proofs struct {
	Inclusion []struct {
		Index, Size int64
		Hashes      []tlog.Hash
	}
	Consistency []struct {
		From, To int64
		Hashes   []tlog.Hash
	}
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: oracle <export directory> <proofs.json> | decisions <export directory> | bundle <directory>"))
	}
	way := check
	switch os.Args[1] {
	case "decisions":
		way = func(_, directory string) (string, error) { return checkDecisions(directory) }
	case "bundle":
		way = func(_, directory string) (string, error) { return checkBundle(directory) }
	}
	summary, err := way(os.Args[1], os.Args[2])
	if err != nil {
		fail(err)
	}
	fmt.Println(summary)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func check(directory, proofsFile string) (string, error) {
	tree, err := signedTree(directory)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadFile(filepath.Join(directory, "entries.jsonl"))
	if err != nil {
		return "", err
	}
	log, err := rebuild(bytes.Split(bytes.TrimSuffix(entries, []byte("\n")), []byte("\n")))
	if err != nil {
		return "", err
	}
	if int64(len(log.leaves)) != tree.N {
		return "", fmt.Errorf("the checkpoint covers %d entries, the file has %d", tree.N, len(log.leaves))
	}
	if root, err := log.root(tree.N); err != nil || root != tree.Hash {
		return "", fmt.Errorf("the root of the entries is %v, the signed one is %v (%v)", root, tree.Hash, err)
	}
	var given proofs
	text, err := os.ReadFile(proofsFile)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(text, &given); err != nil {
		return "", err
	}
	if err := log.checkProofs(given); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d entries, %d inclusion and %d consistency proofs", tree.N, len(given.Inclusion), len(given.Consistency)), nil
}

// signedTree opens the checkpoint: three lines of text, signed by the key in vkey.
func signedTree(directory string) (tlog.Tree, error) {
	vkey, err := os.ReadFile(filepath.Join(directory, "vkey"))
	if err != nil {
		return tlog.Tree{}, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		return tlog.Tree{}, err
	}
	message, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("not a root hash: %q", lines[2])
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}

type rebuilt struct {
	leaves []tlog.Hash
	stored []tlog.Hash
}

func rebuild(lines [][]byte) (*rebuilt, error) {
	log := &rebuilt{}
	for index, line := range lines {
		hashes, err := tlog.StoredHashes(int64(index), line, log)
		if err != nil {
			return nil, err
		}
		log.leaves = append(log.leaves, tlog.RecordHash(line))
		log.stored = append(log.stored, hashes...)
	}
	return log, nil
}

// ReadHashes makes the log its own tlog.HashReader.
func (log *rebuilt) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for place, index := range indexes {
		hashes[place] = log.stored[index]
	}
	return hashes, nil
}

func (log *rebuilt) root(size int64) (tlog.Hash, error) {
	return tlog.TreeHash(size, log)
}

func (log *rebuilt) checkProofs(given proofs) error {
	for _, proof := range given.Inclusion {
		root, err := log.root(proof.Size)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof.Hashes, proof.Size, root, proof.Index, log.leaves[proof.Index]); err != nil {
			return fmt.Errorf("entry %d in size %d: %w", proof.Index, proof.Size, err)
		}
	}
	for _, proof := range given.Consistency {
		from, err := log.root(proof.From)
		if err != nil {
			return err
		}
		to, err := log.root(proof.To)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof.Hashes, proof.To, to, proof.From, from); err != nil {
			return fmt.Errorf("size %d to size %d: %w", proof.From, proof.To, err)
		}
	}
	return nil
}
