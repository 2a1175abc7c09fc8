/** Who published a version first: one principal, or several people together, none of whom is less its author. */

// Principals hold no white space: addresses and names of pipelines have none.
const together = ' and ';

/** How several people are one author. */
export function jointAuthor(people: readonly string[]): string {
  return people.join(together);
}

/** Everybody whom `separation: [flowAuthor]` keeps from deciding under a version of this author. */
export function authorsOf(author: string): readonly string[] {
  return author.split(together);
}
