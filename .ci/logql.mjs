// Reads a JSON list of LogQL expressions and says of each, by Loki's own grammar, what it names: labels of streams,
// and other fields. Status 1 when one is not LogQL. A dashboard's ${variables} are taken as they stand.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const tools = createRequire(`${process.env.HOME}/.cache/padron/tools/node/package.json`);
const { parser } = tools('@grafana/lezer-logql');

let wrong = false;
const named = JSON.parse(readFileSync(0)).map((expression) => {
  const [labels, fields, made, sources] = [1, 2, 3, 4].map(() => new Set());
  parser.parse(expression).iterate({
    enter({ type, name, from, to, node }) {
      const within = (outer) => { for (let at = node.parent; at; at = at.parent) if (at.name === outer) return true; };
      const text = expression.slice(from, to);
      if (type.isError) {
        wrong = true;
        console.error(`not LogQL at ${from}: ${expression}`);
      } else if (within('LabelExtractionExpression')) {
        // `json code="status"` makes code out of status.
        if (name === 'Identifier') made.add(text);
        if (name === 'String') sources.add(text.slice(1, -1));
      } else if (name === 'Identifier') {
        (within('Selector') ? labels : fields).add(text);
      }
    },
  });
  for (const name of made) fields.delete(name);
  return { labels: [...labels], fields: [...new Set([...fields, ...sources])] };
});
console.log(JSON.stringify(named));
process.exitCode = wrong ? 1 : 0;
