// What the report's charts need of Apache ECharts, and nothing else: half of the whole library's size.
// Made into echarts.bar.min.js, to which a line naming the licence was put first, by
//   npm install echarts@6.1.0 esbuild
//   npx esbuild echarts.entry.js --bundle --minify --format=iife --global-name=echarts --target=es2018 \
//     --legal-comments=none --outfile=echarts.bar.min.js
import { init, use } from "echarts/core";
import { BarChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);
export { init };
