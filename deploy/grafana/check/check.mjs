// Checks every dashboard against the types of @grafana/schema: each file becomes a constant of type `Dashboard`, its panels'
// options of those of their plugins, and the TypeScript compiler says what does not fit. `npm install && npm run check`.
import { readFileSync, readdirSync, writeFileSync, existsSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../../../dashboards');

// where @grafana/schema keeps what a panel's plugin takes
const plugins = {
  timeseries: 'timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.d.ts',
  stat: 'stat/panelcfg/x/StatPanelCfg_types.gen.d.ts',
  bargauge: 'bargauge/panelcfg/x/BarGaugePanelCfg_types.gen.d.ts',
  heatmap: 'heatmap/panelcfg/x/HeatmapPanelCfg_types.gen.d.ts',
};

const files = readdirSync(root)
  .map((folder) => join(root, folder, 'dashboard.json'))
  .filter((file) => existsSync(file));
if (files.length === 0) throw new Error('no dashboards found');

// enumerations are compared as the words that JSON has
let source = `import type { Dashboard } from '@grafana/schema';
type Plain<T> = T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T : T extends (infer E)[] ? Plain<E>[] : { [K in keyof T]: Plain<T[K]> };
`;
for (const [kind, path] of Object.entries(plugins)) {
  source += `import type { Options as ${kind}Options } from '@grafana/schema/dist/types/raw/composable/${path}';\n`;
}
let panels = 0;
files.forEach((file, number) => {
  const dashboard = JSON.parse(readFileSync(file, 'utf8'));
  source += `\n// ${file}\nexport const dashboard${number}: Plain<Dashboard> = ${JSON.stringify(dashboard)};\n`;
  dashboard.panels.forEach((panel, at) => {
    if (!plugins[panel.type]) throw new Error(`${file}: no types for a panel of type ${panel.type}`);
    source += `export const options${number}_${at}: Partial<Plain<${panel.type}Options>> = ${JSON.stringify(panel.options)};\n`;
    panels += 1;
  });
});
writeFileSync(join(here, 'check.ts'), source);
execFileSync(
  join(here, 'node_modules/.bin/tsc'),
  ['--noEmit', '--strict', '--skipLibCheck', '--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022', 'check.ts'],
  { cwd: here, stdio: 'inherit' },
);
console.log(`${files.length} dashboards, ${panels} panels: they fit`);
